/** Something of ours on this machine, and how it goes. */
export interface Remains {
  /** `device flannel.1`, `table ip flannel-ipv4` */
  readonly what: string;
  readonly remove: () => unknown;
}

export interface Found {
  readonly ours: readonly Remains[];
  /** What stays, and why, in a line each. */
  readonly left: readonly string[];
}

export function join(parts: readonly Found[]): Found {
  return { ours: parts.flatMap(({ ours }) => ours), left: parts.flatMap(({ left }) => left) };
}

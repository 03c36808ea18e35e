import { readdirSync, statSync } from "node:fs";

/** A network namespace of the machine, and a file by which to enter it. */
export interface NamedNetNs {
  readonly inode: bigint;
  readonly path: string;
}

const NAMED = ["/run/netns", "/var/run/netns", "/run/docker/netns"];

/** Every network namespace that has a process or a name, each once; a name is preferred. Sees no further than /proc. */
export function networkNamespaces(): NamedNetNs[] {
  const found = new Map<bigint, string>();
  const add = (path: string): void => {
    const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
    if (stat && !found.has(stat.ino)) found.set(stat.ino, path);
  };
  for (const folder of NAMED) for (const name of entries(folder)) add(`${folder}/${name}`);
  for (const name of entries("/proc")) if (/^\d+$/.test(name)) tolerating(() => add(`/proc/${name}/ns/net`));
  return [...found].map(([inode, path]) => ({ inode, path }));
}

function entries(folder: string): string[] {
  return tolerating(() => readdirSync(folder)) ?? [];
}

/** A process that ends while it is looked at, or may not be looked at, has no namespace for us. */
function tolerating<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch {
    return undefined;
  }
}

type OptionalKeys<T> = { [K in keyof T]: undefined extends T[K] ? K : never }[keyof T];

/** `T` whose fields that may be undefined are absent instead. */
export type Present<T> = { [K in Exclude<keyof T, OptionalKeys<T>>]: T[K] } & {
  [K in OptionalKeys<T>]?: Exclude<T[K], undefined>;
};

/** Leaves out what is undefined: an attribute that the kernel did not send is a field that is not there. */
export function present<T extends object>(fields: T): Present<T> {
  const there: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) if (value !== undefined) there[name] = value;
  return there as Present<T>;
}

/** `T` with every field optional, and free to be given as undefined. */
export type Loose<T> = { readonly [K in keyof T]?: T[K] | undefined };

// Confs, environments and prevResults as nobody should send them: made from good ones by a few changes, each of which
// fast-check can take back when it looks for the smallest call that fails.
import fc from "fast-check";
import type { JsonObject } from "../../formats/cni/index.ts";

/** One change, at the place that `at` names among all places of the document. */
export type Mutation =
  | { readonly op: "replace"; readonly at: number; readonly value: unknown }
  | { readonly op: "delete"; readonly at: number }
  | { readonly op: "rename"; readonly at: number; readonly key: string }
  | { readonly op: "recase"; readonly at: number };

/** What parsers stumble over: numbers at the borders, names that objects have by themselves, almost-addresses. */
const NASTY: readonly unknown[] = [
  ...[null, true, false, 0, -0, -1, 1, 0.5, 1e308, -1e308, 2 ** 31, 2 ** 32, 2 ** 53, Number.MIN_VALUE],
  ...["", " ", "\0", "\n", "a\0b", "__proto__", "constructor", "toString", "hasOwnProperty", "..", "/", "../../etc"],
  ...[
    "0.0.0.0/0",
    "10.0.0.0/33",
    "10.244.1.0/24",
    "10.244.1.256",
    "1.2.3",
    "::",
    "::/0",
    "fe80::1%eth0",
    "::ffff:1.2.3.4/96",
  ],
  ...[
    "0x7f000001",
    "127.0.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "01:02:03:04:05",
    "ff:ff:ff:ff:ff:ff",
    "eth0",
    "lo",
    "é\u{1f600}",
  ],
  ...[
    "flannel",
    "bridge",
    "host-local",
    "portmap",
    "tcp",
    "udp",
    "0",
    "-1",
    "1.1.0",
    "0.1.0",
    "9.9.9",
    "x".repeat(5000),
  ],
  ...[[], {}, [[]], [null], [[[]]], [{}], { __proto__: null }, { type: "host-local" }, { "": "" }, ["10.0.0.1"]],
];

const value: fc.Arbitrary<unknown> = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...NASTY) },
  fc.jsonValue({ maxDepth: 2 }),
  fc.string({ unit: "binary", maxLength: 20 }),
  fc.ipV4(),
  fc.ipV4().map((ip) => `${ip}/24`),
  fc.ipV6(),
);

const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ op: fc.constant("replace" as const), at: fc.nat(), value }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant("delete" as const), at: fc.nat() }) },
  fc.record({
    op: fc.constant("rename" as const),
    at: fc.nat(),
    key: fc.constantFrom("__proto__", "x", "Type", "ipam", ""),
  }),
  fc.record({ op: fc.constant("recase" as const), at: fc.nat() }),
);

export const mutations: fc.Arbitrary<readonly Mutation[]> = fc.array(mutation, { maxLength: 4 });

/** Damage to the text itself: cut off, doubled, a character in the wrong place. */
export const damage: fc.Arbitrary<(text: string) => string> = fc.oneof(
  { weight: 20, arbitrary: fc.constant((text: string) => text) },
  fc.nat().map((at) => (text: string) => text.slice(0, at % (text.length + 1))),
  fc.constant((text: string) => text + text),
  fc.tuple(fc.nat(), fc.string({ unit: "binary", maxLength: 3 })).map(([at, more]) => (text: string) => {
    const place = at % (text.length + 1);
    return text.slice(0, place) + more + text.slice(place);
  }),
);

interface Place {
  readonly parent: unknown[] | Record<string, unknown>;
  readonly key: string | number;
}

/** The document with the changes made, one after the other. */
export function mutate(document: JsonObject, changes: readonly Mutation[]): JsonObject {
  const copy: JsonObject = structuredClone(document);
  for (const change of changes) {
    const all = [...places(copy as Record<string, unknown>)];
    const place = all[change.at % Math.max(1, all.length)];
    if (place) apply(place, change);
  }
  return copy;
}

function* places(parent: Place["parent"]): Generator<Place> {
  const keys = Array.isArray(parent) ? parent.keys() : Object.keys(parent);
  for (const key of keys) {
    yield { parent, key };
    const child = (parent as Record<string | number, unknown>)[key];
    if (typeof child === "object" && child !== null) yield* places(child as Place["parent"]);
  }
}

function apply({ parent, key }: Place, change: Mutation): void {
  const object = parent as Record<string | number, unknown>;
  const put = (name: string | number, what: unknown): void => {
    // An ordinary property, even of the name __proto__: as JSON.parse makes it.
    Object.defineProperty(object, name, { value: what, enumerable: true, configurable: true, writable: true });
  };
  if (change.op === "replace") put(key, structuredClone(change.value));
  else if (change.op === "delete") delete object[key];
  else if (typeof key === "string") {
    const was = object[key];
    delete object[key];
    put(change.op === "rename" ? change.key : key.toUpperCase(), was);
  }
}

import type { Link } from "../formats/netlink/index.ts";
import { type NetNs, Rtnl } from "../kernel/index.ts";

/** The other end of a veth pair. */
export interface Peer {
  readonly namespace: string;
  readonly device: string;
}
export type Peers = Readonly<Record<string, Peer>>;

/** What of the devices' wiring the order of hops depends on. */
export interface Topology {
  peerOf(namespace: string, device: string): Peer | undefined;
  isBridgePort(namespace: string, device: string): boolean;
}

interface Wired {
  readonly name: string;
  readonly ns: NetNs;
  readonly peers?: Peers;
}

/** Reads every namespace's links. Peers that were given win; the others are found where they are unmistakable. */
export function readTopology(namespaces: readonly Wired[]): Topology {
  const links = new Map(namespaces.map(({ name, ns }) => [name, linksOf(ns)]));
  const given = new Map(namespaces.map(({ name, peers }) => [name, peers ?? {}]));
  return {
    peerOf: (namespace, device) => given.get(namespace)?.[device] ?? findPeer(links, namespace, device),
    isBridgePort: (namespace, device) =>
      links.get(namespace)?.find(({ name }) => name === device)?.master !== undefined,
  };
}

function linksOf(ns: NetNs): Link[] {
  using rtnl = Rtnl.open(ns);
  return rtnl.links();
}

/** Both ends of a veth pair name each other's index. Indices repeat between namespaces, so there may be several: none. */
function findPeer(links: ReadonlyMap<string, readonly Link[]>, namespace: string, device: string): Peer | undefined {
  const own = links.get(namespace)?.find(({ name }) => name === device);
  if (own?.kind?.kind !== "veth") return undefined;
  const ends = [...links].flatMap(([name, others]) =>
    others
      .filter((other) => other !== own && other.kind?.kind === "veth")
      .filter((other) => other.index === own.link && other.link === own.index)
      .filter(() => (own.linkNetnsId === undefined) === (name === namespace))
      .map((other) => ({ namespace: name, device: other.name })),
  );
  return ends.length === 1 ? ends[0] : undefined;
}

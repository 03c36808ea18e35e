// Nodes, peers and kernel states for the tests of this folder.
import fc from "fast-check";
import {
  type IpAddress,
  type MacAddress,
  type Prefix,
  parseIp,
  parseMac,
  parsePrefix,
} from "../../formats/netip/index.ts";
import {
  type FdbEntry,
  type Link,
  type Neighbour,
  type Nexthop,
  NTF_SELF,
  type Route,
} from "../../formats/netlink/index.ts";
import {
  type ActualState,
  type PlanOptions,
  plan,
  RTPROT_PODPATH,
  type WantedPeer,
  type WantedState,
} from "../index.ts";
import { BLACKHOLE_PRIORITY } from "../ownership.ts";
import { applyChange } from "./model.ts";

export const FLANNEL = 7;
export const ETH0 = 2;
export const NETWORK: Prefix = parsePrefix("10.244.0.0/16");
export const link = (index: number, name: string, isUp: boolean): Link => ({
  index,
  name,
  isUp,
  flags: 0,
  operState: "UNKNOWN",
  mtu: 1450,
  group: 0,
  txQueueLength: 0,
  promiscuity: 0,
});
export const mac = (n: number): MacAddress => parseMac(`02:00:00:00:00:0${n}`);
export const NODE: Readonly<Record<1 | 2 | 3, IpAddress>> = {
  1: parseIp("192.168.100.11"),
  2: parseIp("192.168.100.12"),
  3: parseIp("192.168.100.13"),
} as const;

export function peer(subnet: number, node: 1 | 2 | 3, macNumber: number = node): WantedPeer {
  const dst = parsePrefix(`10.244.${subnet}.0/24`);
  return {
    key: `10.244.${subnet}.0/24`,
    neighbours: [{ index: FLANNEL, address: dst.address, lladdr: mac(macNumber) }],
    fdb: [{ index: FLANNEL, lladdr: mac(macNumber), dst: NODE[node] }],
    routes: [{ dst, gateway: dst.address, oif: FLANNEL, onlink: true }],
  };
}

export function wantedOf(peers: readonly WantedPeer[]): WantedState {
  const own = parsePrefix("10.244.1.0/32");
  return { devices: [{ index: FLANNEL, name: "flannel.1", addresses: [own] }], peers, ranges: [NETWORK] };
}

export const EMPTY: ActualState = {
  links: [link(ETH0, "eth0", true), link(FLANNEL, "flannel.1", false)],
  addresses: [],
  routes: [],
  neighbours: [],
  fdb: [],
};

export function applyAll(actual: ActualState, wanted: WantedState, options?: PlanOptions): ActualState {
  return plan(actual, wanted, options)
    .steps.flatMap((step) => step.changes)
    .reduce(applyChange, actual);
}

export function route(dst: string, fields: Partial<Route>): Route {
  return {
    family: 4,
    dst: parsePrefix(dst),
    table: 254,
    protocol: 3,
    scope: 0,
    type: 1,
    tos: 0,
    onlink: false,
    flags: 0,
    ...fields,
  };
}

/** Peers of 10.250.0.0/16, which are nobody's but theirs, each with a MAC of its own. */
export function manyPeers(count: number): WantedPeer[] {
  return Array.from({ length: count }, (_, i) => {
    const dst = parsePrefix(`10.${250 + (i >> 8)}.${i & 255}.0/24`);
    const lladdr = parseMac(`02:01:00:00:0${i >> 8}:${(i & 255).toString(16).padStart(2, "0")}`);
    return {
      key: `${dst.address}/24`,
      neighbours: [{ index: FLANNEL, address: dst.address, lladdr }],
      fdb: [{ index: FLANNEL, lladdr, dst: NODE[2] }],
      routes: [{ dst, gateway: dst.address, oif: FLANNEL, onlink: true }],
    };
  });
}

const subnets = fc.integer({ min: 2, max: 5 });
const nodes = fc.constantFrom(1 as const, 2 as const, 3 as const);
const indexes = fc.constantFrom(FLANNEL, ETH0);
export const peers: fc.Arbitrary<WantedPeer> = fc
  .tuple(subnets, nodes, fc.integer({ min: 1, max: 9 }))
  .map(([s, n, m]) => peer(s, n, m));
const neighbours: fc.Arbitrary<Neighbour> = fc
  .record({
    index: indexes,
    subnet: subnets,
    lladdr: fc.integer({ min: 1, max: 9 }),
    state: fc.constantFrom(2, 4, 128),
  })
  .map(({ index, subnet, lladdr, state }) => ({
    index,
    family: 4,
    address: parseIp(`10.244.${subnet}.0`),
    lladdr: mac(lladdr),
    state,
    flags: 0,
  }));
const fdbEntries: fc.Arbitrary<FdbEntry> = fc
  .record({ index: indexes, lladdr: fc.integer({ min: 1, max: 9 }), node: nodes, state: fc.constantFrom(2, 128) })
  .map(({ index, lladdr, node, state }) => ({ index, lladdr: mac(lladdr), dst: NODE[node], state, flags: NTF_SELF }));
const routes: fc.Arbitrary<Route> = fc
  .record({
    subnet: subnets,
    oif: indexes,
    protocol: fc.constantFrom(2, 3, 4, RTPROT_PODPATH),
    onlink: fc.boolean(),
    own: fc.boolean(),
    priority: fc.constantFrom(undefined, 100, BLACKHOLE_PRIORITY),
    type: fc.constantFrom(1, 1, 6),
  })
  // Nobody but who drops takes the last of all metrics.
  .map((spec) => (spec.priority === BLACKHOLE_PRIORITY ? { ...spec, type: 6 } : spec))
  .map(({ subnet, own, priority, ...rest }) =>
    route(`10.244.${subnet}.0/24`, {
      ...rest,
      gateway: parseIp(own ? `10.244.${subnet}.0` : "192.168.100.12"),
      ...(priority === undefined ? {} : { priority }),
    }),
  );
const nexthops: fc.Arbitrary<Nexthop> = fc
  .record({
    id: fc.constantFrom(1, 2, 0x7064_0000, 0x7064_0001, 0x7064_0005),
    oif: indexes,
    protocol: fc.constantFrom(3, RTPROT_PODPATH),
    onlink: fc.boolean(),
    subnet: subnets,
  })
  .map(({ subnet, ...rest }) => ({
    ...rest,
    family: 4,
    gateway: parseIp(`10.244.${subnet}.0`),
    blackhole: false,
  }));
const listedStates: fc.Arbitrary<ActualState> = fc.record({
  links: fc.boolean().map((isUp) => [link(ETH0, "eth0", true), link(FLANNEL, "flannel.1", isUp)]),
  addresses: fc
    .subarray(["10.244.1.0/32", "10.244.1.0/24", "10.244.7.0/32", "172.16.0.1/24"])
    .map((texts) => texts.map((text) => ({ index: FLANNEL, prefix: parsePrefix(text), scope: 0, flags: 0x80 }))),
  routes: fc.uniqueArray(routes, { selector: (r) => `${r.dst?.address} ${r.priority}`, maxLength: 6 }),
  neighbours: fc.uniqueArray(neighbours, { selector: (n) => `${n.index} ${n.address}`, maxLength: 6 }),
  fdb: fc
    .uniqueArray(fdbEntries, { selector: (f) => `${f.index} ${f.lladdr} ${f.dst}`, maxLength: 8 })
    // One MAC has one state, however many destinations.
    .map((entries) => entries.map((f) => ({ ...f, state: f.lladdr < mac(5) ? 128 : 2 }))),
});

/** Some routes name a nexthop object, which then is their way; without them a kernel of before 5.3. */
export const actualStates: fc.Arbitrary<ActualState> = fc
  .record({
    state: listedStates,
    objects: fc.option(fc.uniqueArray(nexthops, { selector: (n) => n.id }), { nil: undefined }),
    names: fc.array(fc.nat(4), { minLength: 6, maxLength: 6 }),
  })
  .map(({ state, objects, names }) => ({
    ...state,
    nexthops: objects,
    routes: state.routes.map((r, i) => {
      const named = r.type === 1 ? objects?.[names[i] ?? 0] : undefined;
      if (!named) return r;
      const { id, gateway, oif, onlink } = named;
      return { ...r, nexthopId: id, gateway: gateway as never, oif: oif as never, onlink };
    }),
  }));

// Our node's kernel state and that of Flannel's, in one cluster: equal, but for what docs/compatibility.md lists.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { CLUSTER_STORES } from "./testing/cluster-stores.ts";
import { whyNoFlanneld } from "./testing/flanneld.ts";
import { kernelState } from "./testing/kernel-state.ts";
import { MixedCluster } from "./testing/mixed-cluster.ts";

const IPV4 = { Network: "10.244.0.0/16" };
const DUAL = { ...IPV4, EnableIPv6: true, IPv6Network: "2001:db8:42::/48" };

interface Difference {
  /** Its row in docs/compatibility.md. */
  readonly row: string;
  /** The lines that only Flannel's node has, and those that only ours has. */
  readonly flannel?: RegExp;
  readonly ours?: RegExp;
}

const ALWAYS: readonly Difference[] = [
  {
    row: "the protocol of routes to peers",
    flannel: /^route .* protocol = boot$/,
    ours: /^route .* protocol = 112$/,
  },
  { row: "the Service gateway's tables", ours: /^nft (ip6? podpath-gateway |comment Services and NodePorts$)/ },
];
const IPV4_ONLY: readonly Difference[] = [
  {
    row: "an empty table `ip6 flannel-ipv6` on a node without IPv6",
    flannel: /^nft (ip6 flannel-ipv6 table 1 |comment rules for flannel-ipv6$)/,
  },
];
const VXLAN: readonly Difference[] = [
  {
    row: "`vxlan`: outer UDP checksum, IPv4",
    flannel: /^link flannel\.\d linkinfo\.info_data\.udp_csum = true$/,
    ours: /^link flannel\.\d linkinfo\.info_data\.udp_csum = false$/,
  },
  { row: "`vxlan`: the device's transmit queue length", ours: /^link flannel(-v6)?\.\d txqlen = 1000$/ },
];
const VXLAN_V6: readonly Difference[] = [
  {
    row: "`vxlan`: duplicate address detection for the device's own address",
    ours: /^link flannel-v6\.1 .*nodad = true$/,
  },
  {
    row: "`vxlan`: MTU with IPv6",
    flannel: /^subnet\.env FLANNEL_MTU=1450$/,
    ours: /^subnet\.env FLANNEL_MTU=1430$/,
  },
];

const UDP: readonly Difference[] = [
  {
    row: "`udp`: the TUN device is persistent, up without a reader, and takes offloaded packets",
    flannel: /^link flannel0 (operstate = UNKNOWN|linkinfo\.info_data\.(vnet_hdr|persist) = false)$/,
    ours: /^link flannel0 (operstate = UP|linkinfo\.info_data\.(vnet_hdr|persist) = true)$/,
  },
  {
    row: "`udp`: the scope of the network's route",
    flannel: /^route -4 unicast 10\.244\.0\.0\/16 dev flannel0 scope = global$/,
    ours: /^route -4 unicast 10\.244\.0\.0\/16 dev flannel0 scope = link$/,
  },
];

interface Case {
  readonly name: string;
  readonly config: object;
  /** Whether one peer is behind a router. */
  readonly isRouted?: boolean;
  readonly differences: readonly Difference[];
}

const ALL_OPTIONS = { Type: "vxlan", VNI: 7, Port: 4789, GBP: true, Learning: true, MTU: 1400 };
const CASES: readonly Case[] = [
  { name: "vxlan", config: { ...IPV4, Backend: { Type: "vxlan" } }, differences: [...IPV4_ONLY, ...VXLAN] },
  {
    name: "vxlan, dual-stack",
    config: { ...DUAL, Backend: { Type: "vxlan" } },
    differences: [...VXLAN, ...VXLAN_V6],
  },
  {
    name: "vxlan with DirectRouting",
    config: { ...IPV4, Backend: { Type: "vxlan", DirectRouting: true } },
    isRouted: true,
    differences: [...IPV4_ONLY, ...VXLAN],
  },
  {
    name: "vxlan with all its options",
    config: { ...IPV4, SubnetLen: 26, Backend: ALL_OPTIONS },
    differences: [...IPV4_ONLY, ...VXLAN],
  },
  { name: "udp", config: { ...IPV4, Backend: { Type: "udp" } }, differences: [...IPV4_ONLY, ...UDP] },
  { name: "host-gw", config: { ...IPV4, Backend: { Type: "host-gw" } }, differences: IPV4_ONLY },
  { name: "host-gw, dual-stack", config: { ...DUAL, Backend: { Type: "host-gw" } }, differences: [] },
];

const DOCUMENT = readFileSync(new URL("../../docs/compatibility.md", import.meta.url), "utf8");

describe("our node's kernel state is that of Flannel's", { skip: whyNoFlanneld() }, () => {
  for (const { name, config, isRouted, differences } of CASES)
    it(`with ${name}`, async () => {
      await using mixed = await MixedCluster.start({
        config,
        serve: CLUSTER_STORES.embedded.serve,
        hasRoutePerPeer: name !== "udp",
      });
      if (isRouted) mixed.cluster.addRouter();
      const [go, our] = [await mixed.join("flannel", 1), await mixed.join("podpath", 2)];
      for (const [kind, n] of [
        ["flannel", 3],
        ["podpath", 4],
      ] as const)
        await mixed.join(kind, n);
      if (isRouted) await mixed.join("flannel", 5, 101);
      await mixed.settled();
      const [theirs, ours] = [kernelState(go, our), kernelState(our, go)];
      const only = {
        flannel: [...theirs].filter((line) => !ours.has(line)),
        ours: [...ours].filter((line) => !theirs.has(line)),
      };
      for (const { row, ...patterns } of [...ALWAYS, ...differences])
        for (const [side, pattern] of Object.entries(patterns) as [keyof typeof only, RegExp][]) {
          const rest = only[side].filter((line) => !pattern.test(line));
          assert.notEqual(rest.length, only[side].length, `there is no such difference any more: ${row}`);
          only[side] = rest;
          assert.ok(DOCUMENT.includes(`| ${row} `), `docs/compatibility.md has no row: ${row}`);
        }
      assert.deepEqual(only, { flannel: [], ours: [] });
    });
});

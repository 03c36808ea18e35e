import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Backend, ExternalInterface } from "../backend/index.ts";
import { parseIpv4, parsePrefix } from "../formats/netip/index.ts";
import {
  newAddress,
  newLink,
  RTM_GETADDR,
  RTM_GETLINK,
  RTM_GETROUTE,
  RTM_NEWROUTE,
  type RtnlEvent,
} from "../formats/netlink/index.ts";
import { listHost, type WantedPeer } from "../host/index.ts";
import { fakeRtnl } from "../kernel/testing/fake-rtnl.ts";
import type { Lease } from "../subnet/index.ts";
import { Datapath } from "./datapath.ts";
import { PeerSet } from "./peer-set.ts";
import { Underlay } from "./underlay.ts";

const ENETUNREACH = 101;
const external: ExternalInterface = { name: "eth0", index: 2, mtuBytes: 1500, address: parseIpv4("192.168.100.11") };
const lease = (n: number): Lease => ({
  subnet: parsePrefix(`10.244.${n}.0/24`),
  attrs: { publicIp: parseIpv4(`192.168.100.${n}`), backendType: "test" },
});

/** A backend with one route a peer and no device. */
const backend: Backend = {
  type: "test",
  deviceNames: ["flannel.1"],
  mtuBytes: () => 1450,
  leaseAttrs: () => lease(1).attrs,
  ensureDevices: () => [],
  removeDevices: () => {},
  wanted: (_own, peers) => ({
    devices: [],
    ranges: [parsePrefix("10.244.0.0/16")],
    peers: peers.flatMap(({ subnet }): WantedPeer[] =>
      subnet
        ? [
            {
              key: `${subnet.address}/24`,
              neighbours: [],
              fdb: [],
              routes: [{ dst: subnet, gateway: subnet.address, oif: 2, onlink: true }],
            },
          ]
        : [],
    ),
  }),
};

interface World {
  readonly datapath: Datapath;
  readonly peers: PeerSet;
  /** Destinations of the routes that were asked for, per pass. */
  readonly asked: string[];
  readonly lines: string[];
}

/** A kernel with eth0 that refuses every route whose destination `refuses`. */
function world(refuses: (dst: number) => boolean, hasInterface: () => boolean = () => true): World {
  const asked: string[] = [];
  const lines: string[] = [];
  const { rtnl } = fakeRtnl((request) => {
    if (request.type === RTM_GETLINK && hasInterface())
      return { objects: [newLink({ name: "eth0", index: 2, mtu: 1500, kind: { kind: "bridge" } })] };
    if (request.type === RTM_GETADDR && hasInterface())
      return { objects: [newAddress({ index: 2, prefix: parsePrefix("192.168.100.11/24") })] };
    if (request.type === RTM_GETROUTE || request.type !== RTM_NEWROUTE) return {};
    // rtmsg (12 bytes), then RTA_DST first: 4 bytes of header, and the address.
    const subnet = request.payload[18] ?? 0;
    asked.push(`10.244.${subnet}.0`);
    return refuses(subnet) ? { errno: ENETUNREACH } : {};
  });
  const note = (_: object, line: string): void => {
    lines.push(line);
  };
  const log = { debug: note, info: note, warn: note, error: note } as never;
  const peers = new PeerSet(lease(1));
  const interfaceOptions = { iface: [], families: [4 as const] };
  const ranges = [parsePrefix("10.244.0.0/16")];
  const underlay = new Underlay({ external, interfaceOptions, listing: listHost(rtnl) });
  const about = { rtnl, backend, underlay, peers, own: lease(1), ranges, blackholes: [], resyncMs: 30_000, log };
  const datapath = new Datapath(about);
  return { datapath, peers, asked, lines };
}

describe("Datapath", () => {
  it("programs all peers but the one the kernel refuses, and lets that one wait", async () => {
    const { datapath, peers, asked, lines } = world((n) => n === 3);
    peers.update([1, 2, 3, 4].map(lease), 0);
    const { retryAtMs = 0 } = await datapath.pass();
    assert.deepEqual(asked, ["10.244.2.0", "10.244.3.0", "10.244.4.0"]);
    assert.ok(retryAtMs > performance.now() - 1000);
    assert.deepEqual(
      datapath.status().failures.map((failure) => failure.of),
      ["peer 10.244.3.0/24"],
    );
    assert.equal(datapath.fatal, undefined);
    assert.equal(lines.filter((line) => /cannot program peer 10\.244\.3\.0\/24.*ENETUNREACH/.test(line)).length, 1);
    // This kernel forgets every route, so all are asked for again, but for the one that waits.
    asked.length = 0;
    await datapath.pass();
    assert.deepEqual(asked, [], "what was made is known, and nobody told of a change");
    datapath.delayAfterLoss();
    await datapath.pass();
    assert.deepEqual(asked, ["10.244.2.0", "10.244.4.0"]);
    asked.length = 0;
    datapath.retryNow();
    await datapath.pass();
    assert.deepEqual(asked, ["10.244.3.0"]);
  });

  it("waits for an interface that went, and goes on when it is back", async () => {
    let isThere = false;
    const { datapath, peers, asked } = world(
      () => false,
      () => isThere,
    );
    peers.update([1, 2].map(lease), 0);
    await datapath.pass();
    assert.match(String(datapath.fatal), /eth0 is not there/);
    isThere = true;
    await datapath.pass();
    assert.equal(datapath.fatal, undefined);
    assert.deepEqual(asked, ["10.244.2.0"]);
  });

  it("looks when something of its own changes, and not when a pod does something", async () => {
    const { datapath } = world(() => false);
    await datapath.pass();
    const delayOf = (event: object): number | undefined =>
      datapath.delayAfter({ change: "new", ...event } as unknown as RtnlEvent);
    const route = (fields: object): object => ({ of: "route", route: { family: 4, table: 254, tos: 0, ...fields } });
    for (const [event, matters] of [
      [{ of: "link", link: { name: "flannel.1", index: 99 } }, true],
      [{ of: "link", link: { name: "eth0", index: 2 } }, true],
      [{ of: "link", link: { name: "veth0a1b2c3d", index: 50 } }, false],
      [{ of: "address", address: { index: 2, prefix: parsePrefix("192.168.100.12/24") } }, true],
      [{ of: "address", address: { index: 50 } }, false],
      [{ of: "neighbour", neighbour: { index: 50, state: 128 } }, false],
      [{ of: "fdb", fdb: { index: 50, state: 128, flags: 2 } }, false],
      [{ of: "nexthop", nexthop: { id: 7, protocol: 112, oif: 50 } }, true],
      [{ of: "nexthop", nexthop: { id: 7, protocol: 3, oif: 2 } }, true],
      [{ of: "nexthop", nexthop: { id: 7, protocol: 3, oif: 50 } }, false],
      [route({ protocol: 112, dst: parsePrefix("172.16.0.0/24") }), true],
      [route({ protocol: 3, dst: parsePrefix("10.244.9.0/24"), oif: 50 }), true],
      [route({ protocol: 3, dst: parsePrefix("172.16.0.0/24"), oif: 50 }), false],
    ] as const)
      assert.equal(delayOf(event) !== undefined, matters, JSON.stringify(event));
  });
});

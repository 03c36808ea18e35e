import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseNetworkConfig } from "../../formats/flannel/index.ts";
import { parseIpv4, parseIpv6, parsePrefix } from "../../formats/netip/index.ts";
import { type Route, RT_TABLE_MAIN, RTM_DELROUTE, RTN_UNICAST } from "../../formats/netlink/index.ts";
import { type ActualState, plan } from "../../host/index.ts";
import type { Lease } from "../../subnet/index.ts";
import { BackendError, type ExternalInterface } from "../index.ts";
import { MemoryKernel } from "../testing/memory-kernel.ts";
import { HostGwBackend } from "./host-gw.ts";

const log = { debug() {}, info() {}, warn() {}, error() {} };
const NETWORK = parseNetworkConfig(
  '{"Network":"10.244.0.0/16","EnableIPv6":true,"IPv6Network":"2001:db8:42::/48","Backend":{"Type":"host-gw"}}',
);
const ETH0: ExternalInterface = {
  name: "eth0",
  index: 2,
  mtuBytes: 1500,
  address: parseIpv4("192.168.100.11"),
  publicIp: parseIpv4("192.168.100.11"),
  ipv6Address: parseIpv6("fd00:100::b"),
  publicIpv6: parseIpv6("fd00:100::b"),
};
const EMPTY: ActualState = { links: [], addresses: [], routes: [], neighbours: [], fdb: [] };
const lease = (n: number): Lease => ({
  subnet: parsePrefix(`10.244.${n}.0/24`),
  attrs: { publicIp: parseIpv4(`192.168.100.1${n}`), backendType: "host-gw" },
});

describe("the host-gw backend", () => {
  for (const [flag, external] of [
    ["--public-ip", { ...ETH0, publicIp: parseIpv4("198.51.100.7") }],
    ["--public-ipv6", { ...ETH0, publicIpv6: parseIpv6("2001:db8::7") }],
  ] as const)
    it(`refuses a ${flag} that is not the interface's own address, and says what to do`, () => {
      const backend = new HostGwBackend({ rtnl: new MemoryKernel(), network: NETWORK, log });
      assert.throws(
        () => backend.leaseAttrs(external),
        (error) =>
          error instanceof BackendError &&
          /public address (198\.51\.100\.7|2001:db8::7) is not .*eth0.*NAT.*--iface.*vxlan/.test(error.message) &&
          error.message.includes(`Leave ${flag} away`),
      );
    });

  it("gives a peer that has one family of two a route of that family alone", () => {
    const backend = new HostGwBackend({ rtnl: new MemoryKernel(), network: NETWORK, log });
    const [peer] = backend.wanted(lease(1), [lease(2)], ETH0, EMPTY).peers;
    assert.deepEqual(peer, {
      key: "10.244.2.0/24",
      neighbours: [],
      fdb: [],
      routes: [{ dst: parsePrefix("10.244.2.0/24"), gateway: "192.168.100.12", oif: 2, onlink: false }],
    });
  });

  it("takes over the routes that our vxlan backend left, and removes those of peers that went", () => {
    const backend = new HostGwBackend({ rtnl: new MemoryKernel(), network: NETWORK, log });
    const left = ["10.244.2.0", "10.244.9.0"].map(
      (subnet): Route => ({
        ...{ family: 4, dst: parsePrefix(`${subnet}/24`), gateway: parseIpv4(subnet), oif: 7, onlink: true },
        ...{ table: RT_TABLE_MAIN, protocol: 112, scope: 0, type: RTN_UNICAST, tos: 0, flags: 0 },
      }),
    );
    const actual = { ...EMPTY, routes: left };
    const { steps, conflicts } = plan(actual, backend.wanted(lease(1), [lease(2)], ETH0, actual));
    assert.deepEqual(conflicts, []);
    assert.deepEqual(
      steps.flatMap(({ of, changes }) => changes.map(({ change }) => `${of}: ${change}`)),
      ["peer 10.244.2.0/24: replace-route", "stale route 10.244.9.0/24: delete-route"],
    );
  });

  it("does not undo the routes that were there before it started", () => {
    const rtnl = new MemoryKernel();
    const backend = new HostGwBackend({ rtnl, network: NETWORK, log });
    const route = { dst: lease(2).subnet, protocol: 112 } as Route;
    backend.wanted(lease(1), [lease(2), lease(3)], ETH0, { ...EMPTY, routes: [route] });
    backend.removeDevices();
    assert.equal(rtnl.requests.length, 1);
    assert.equal(rtnl.requests[0]?.type, RTM_DELROUTE);
    // rtmsg (12 bytes), then RTA_DST first: 4 bytes of header, and the address.
    assert.deepEqual([...(rtnl.requests[0]?.payload.subarray(16, 20) ?? [])], [10, 244, 3, 0]);
  });
});

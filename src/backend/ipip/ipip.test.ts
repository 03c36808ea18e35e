import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseNetworkConfig } from "../../formats/flannel/index.ts";
import { parseIpv4, parsePrefix } from "../../formats/netip/index.ts";
import { type Link, newLink, type Route, RTM_NEWLINK } from "../../formats/netlink/index.ts";
import type { ActualState } from "../../host/index.ts";
import { fakeRtnl } from "../../kernel/testing/fake-rtnl.ts";
import type { Lease } from "../../subnet/index.ts";
import { BackendError, type ExternalInterface, openBackend } from "../index.ts";
import { MemoryKernel } from "../testing/memory-kernel.ts";
import { IpipBackend } from "./ipip.ts";

const log = { debug() {}, info() {}, warn() {}, error() {} };
const [ENODEV, EOPNOTSUPP] = [19, 95];
const ETH0: ExternalInterface = {
  name: "eth0",
  index: 2,
  mtuBytes: 1500,
  address: parseIpv4("192.168.100.11"),
  publicIp: parseIpv4("203.0.113.7"),
};
const config = (options: object = {}, rest: object = {}): ReturnType<typeof parseNetworkConfig> =>
  parseNetworkConfig(JSON.stringify({ Network: "10.244.0.0/16", Backend: { Type: "ipip", ...options }, ...rest }));
const lease = (n: number, publicIp: string): Lease => ({
  subnet: parsePrefix(`10.244.${n}.0/24`),
  attrs: { publicIp: parseIpv4(publicIp), backendType: "ipip" },
});

describe("the ipip backend", () => {
  it("makes flannel.ipip with the interface's own address, whatever is published", () => {
    const kernel = new MemoryKernel();
    const backend = new IpipBackend({ rtnl: kernel, network: config(), log });
    assert.equal(backend.leaseAttrs(ETH0).publicIp, "203.0.113.7");
    assert.deepEqual(backend.ensureDevices(ETH0), ["flannel.ipip"]);
    const { kind, mtu } = kernel.link("flannel.ipip") as Link;
    assert.equal(mtu, 1480);
    assert.deepEqual(kind, { kind: "ipip", local: "192.168.100.11", ttl: 0, tos: 0, pmtudisc: false });
  });

  for (const [what, spec] of [
    ["another local address", { local: parseIpv4("192.168.100.99") }],
    ["no local address, as tunl0", {}],
    ["a remote address", { local: parseIpv4("192.168.100.11"), remote: parseIpv4("192.168.100.12") }],
  ] as const)
    it(`makes a device anew that has ${what}`, () => {
      const kernel = new MemoryKernel();
      kernel.execute(newLink({ name: "flannel.ipip", kind: { kind: "ipip", ...spec } }));
      const backend = new IpipBackend({ rtnl: kernel, network: config(), log });
      assert.match(backend.findDevices(ETH0).join(), /cannot serve: its (local|remote) address/);
      assert.deepEqual(backend.ensureDevices(ETH0), ["flannel.ipip"]);
      assert.deepEqual(backend.findDevices(ETH0), []);
    });

  it("leaves a device of another kind alone, and says how to remove it", () => {
    const kernel = new MemoryKernel();
    kernel.execute(newLink({ name: "flannel.ipip", kind: { kind: "bridge" } }));
    const backend = new IpipBackend({ rtnl: kernel, network: config(), log });
    assert.throws(
      () => backend.ensureDevices(ETH0),
      (error) =>
        error instanceof BackendError && /no ipip device but bridge.*ip link del flannel\.ipip/.test(error.message),
    );
    assert.equal(kernel.link("flannel.ipip")?.kind?.kind, "bridge");
  });

  it("says what a kernel without ipip lacks", () => {
    const { rtnl } = fakeRtnl(({ type }) => ({ errno: type === RTM_NEWLINK ? EOPNOTSUPP : ENODEV }));
    assert.throws(
      () => new IpipBackend({ rtnl, network: config(), log }).ensureDevices(ETH0),
      /Cannot create flannel\.ipip \(ipip local 192\.168\.100\.11 remote any\).*modprobe ipip.*CONFIG_NET_IPIP/,
    );
  });

  it("with DirectRouting routes straight to a peer on the same link, and by the tunnel behind a router", () => {
    const kernel = new MemoryKernel();
    const backend = new IpipBackend({ rtnl: kernel, network: config({ directrouting: true }), log });
    assert.ok(backend.followsRoutes);
    backend.ensureDevices(ETH0);
    const index = kernel.link("flannel.ipip")?.index;
    const connected = {
      family: 4,
      dst: parsePrefix("192.168.100.0/24"),
      oif: 2,
      type: 1,
      protocol: 2,
      flags: 0,
    } as Partial<Route> as Route;
    const actual: ActualState = { links: [], addresses: [], routes: [connected], neighbours: [], fdb: [] };
    const peers = [lease(2, "192.168.100.12"), lease(3, "198.51.100.3")];
    const { peers: wanted } = backend.wanted(lease(1, "203.0.113.7"), peers, ETH0, actual);
    assert.deepEqual(
      wanted.flatMap(({ routes }) => routes),
      [
        { dst: parsePrefix("10.244.2.0/24"), gateway: "192.168.100.12", oif: 2, onlink: false },
        { dst: parsePrefix("10.244.3.0/24"), gateway: "198.51.100.3", oif: index, onlink: true },
      ],
    );
  });

  it("refuses IPv6 before anything is made, and names the key", () => {
    const network = config({}, { EnableIPv6: true, IPv6Network: "2001:db8:42::/48" });
    assert.throws(
      () => openBackend({ rtnl: new MemoryKernel(), network, log }),
      (error) => error instanceof BackendError && /IPv4 only.*EnableIPv6/.test(error.message),
    );
  });
});

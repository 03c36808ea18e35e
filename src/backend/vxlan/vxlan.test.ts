import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  formatVxlanBackendData,
  type JsonObject,
  type NetworkConfig,
  parseNetworkConfig,
} from "../../formats/flannel/index.ts";
import { type Ipv4Address, parseIp, parseIpv4, parseMac, parsePrefix } from "../../formats/netip/index.ts";
import type { Link, Request, Route } from "../../formats/netlink/index.ts";
import type { ActualState } from "../../host/index.ts";
import type { Lease } from "../../subnet/index.ts";
import { directInterface } from "../direct-routing.ts";
import { type BackendError, type ExternalInterface, openBackend } from "../index.ts";
import { incompatibility, vxlanDeviceSpec } from "./device.ts";
import { deriveVtepMac } from "./mac.ts";
import { VxlanBackend } from "./vxlan.ts";

const ETH0: ExternalInterface = {
  name: "eth0",
  index: 2,
  mtuBytes: 1500,
  address: parseIpv4("192.168.100.11"),
  publicIp: parseIpv4("192.168.100.11"),
};
const MAC = { own: parseMac("0a:00:00:00:00:01"), peer: parseMac("0a:00:00:00:00:02") };
const NOTHING: ActualState = { links: [], addresses: [], routes: [], neighbours: [], fdb: [] };

function network(backend: object = {}): NetworkConfig {
  return parseNetworkConfig(JSON.stringify({ Network: "10.244.0.0/16", Backend: { Type: "vxlan", ...backend } }));
}

function lease(subnet: string, publicIp: string, data: JsonObject = vtep(MAC.peer), backendType = "vxlan"): Lease {
  return {
    subnet: parsePrefix(subnet),
    attrs: { publicIp: parseIpv4(publicIp), backendType, backendData: data },
  };
}
const vtep = (vtepMac: typeof MAC.own): JsonObject => formatVxlanBackendData({ vni: 1, vtepMac });

/** A kernel with these links, which keeps what it is asked. */
function kernel(...links: Partial<Link>[]): {
  requests: Request[];
  link: (which: string | number) => Link | undefined;
  execute: (requests: Request | readonly Request[]) => void;
} {
  const requests: Request[] = [];
  return {
    requests,
    link: (which) => links.find((link) => link.name === which || link.index === which) as Link | undefined,
    execute: (more) => {
      requests.push(...[more].flat());
    },
  };
}

function vxlanLink(fields: object = {}): Partial<Link> {
  const kind = { kind: "vxlan", id: 1, link: 2, local: "192.168.100.11", port: 8472, learning: false, gbp: false };
  return {
    index: 7,
    name: "flannel.1",
    mtu: 1450,
    address: MAC.own,
    kind: { ...kind, l2miss: false, udpCsum: true, ...fields },
  } as unknown as Partial<Link>;
}

interface Said {
  readonly lines: string[];
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}
function logger(): Said {
  const lines: string[] = [];
  const say = (_: object, message: string): void => {
    lines.push(message);
  };
  return { lines, debug: say, info: say, warn: say, error: say };
}

describe("the vxlan backend", () => {
  it("makes the device as Flannel does, but without outer checksums and from the interface's own address", () => {
    const behindNat = { ...ETH0, publicIp: parseIpv4("198.51.100.7") };
    assert.deepEqual(
      vxlanDeviceSpec(
        { vni: 1, port: 0, gbp: false, learning: false, directRouting: false },
        behindNat,
        parseIp("192.168.100.11"),
        MAC.own,
      ),
      {
        name: "flannel.1",
        mtu: 1450,
        address: MAC.own,
        kind: {
          kind: "vxlan",
          id: 1,
          link: 2,
          local: "192.168.100.11",
          port: 8472,
          learning: false,
          gbp: false,
          udpCsum: false,
        },
      },
    );
  });

  it("counts a configured MTU as the underlay's", () => {
    const backend = new VxlanBackend({ rtnl: kernel(), network: network({ MTU: 1400, VNI: 7 }), log: logger() });
    assert.equal(backend.mtuBytes(ETH0), 1350);
    assert.deepEqual(backend.deviceNames, ["flannel.7"]);
  });

  it("keeps a compatible device, whatever its checksums, and touches nothing of it", () => {
    const rtnl = kernel(vxlanLink());
    const backend = new VxlanBackend({ rtnl, network: network(), log: logger() });
    const attrs = backend.leaseAttrs(ETH0, []);
    assert.deepEqual(backend.ensureDevices(ETH0, attrs), []);
    assert.deepEqual(rtnl.requests, []);
  });

  for (const [what, link, reason] of [
    ["another VNI", vxlanLink({ id: 9 }), "its VNI is 9, not 1"],
    ["another lower device", vxlanLink({ link: 3 }), "its lower device is 3, not 2"],
    ["another port", vxlanLink({ port: 4789 }), "its port is 4789, not 8472"],
    ["another local address", vxlanLink({ local: "192.0.2.1" }), "its local address is 192.0.2.1, not 192.168.100.11"],
    ["a bridge's nature", { kind: { kind: "bridge" } } as Partial<Link>, "it is no vxlan device but bridge"],
  ] as const)
    it(`does not keep a device with ${what}`, () => {
      const options = { vni: 1, port: 0, gbp: false, learning: false, directRouting: false };
      const spec = vxlanDeviceSpec(options, ETH0, parseIp("192.168.100.11"), MAC.own);
      assert.equal(incompatibility(link as Link, spec), reason);
    });

  it("keeps its MAC: the device's, else the one of its lease, else the derived one", () => {
    const macOf = (rtnl: ReturnType<typeof kernel>, leases: readonly Lease[]): unknown =>
      (new VxlanBackend({ rtnl, network: network(), log: logger() }).leaseAttrs(ETH0, leases).backendData as JsonObject)
        .VtepMAC;
    const mine = lease("10.244.1.0/24", "192.168.100.11", vtep(MAC.peer));
    const other = lease("10.244.2.0/24", "192.168.100.12", vtep(MAC.peer));
    assert.equal(macOf(kernel(vxlanLink()), [mine]), MAC.own);
    assert.equal(macOf(kernel(), [other, mine]), MAC.peer);
    assert.equal(macOf(kernel(), [other]), deriveVtepMac(parseIp("192.168.100.11"), 1));
  });

  it("derives a local unicast MAC that is another for another node or VNI", () => {
    // printf %s 'podpath VtepMAC 192.168.100.11 1' | sha256sum; first octet & 0xfe | 0x02
    const mac = deriveVtepMac(parseIp("192.168.100.11"), 1);
    assert.equal(mac, "9a:65:ee:0c:f6:62");
    assert.notEqual(deriveVtepMac(parseIp("192.168.100.12"), 1), mac);
    assert.notEqual(deriveVtepMac(parseIp("192.168.100.11"), 2), mac);
  });

  it("wants of a peer the neighbour, the FDB entry and the onlink route of Flannel", () => {
    const backend = new VxlanBackend({ rtnl: kernel(vxlanLink()), network: network(), log: logger() });
    backend.ensureDevices(ETH0, backend.leaseAttrs(ETH0, []));
    const own = lease("10.244.1.0/24", "192.168.100.11");
    const gateway = "10.244.2.0";
    const dst = { address: gateway, length: 24 };
    assert.deepEqual(backend.wanted(own, [lease("10.244.2.0/24", "192.168.100.12")], ETH0, NOTHING), {
      devices: [{ index: 7, name: "flannel.1", addresses: [parsePrefix("10.244.1.0/32")] }],
      ranges: [parsePrefix("10.244.0.0/16")],
      peers: [
        {
          key: "10.244.2.0/24",
          neighbours: [{ index: 7, address: gateway, lladdr: MAC.peer }],
          fdb: [{ index: 7, lladdr: MAC.peer, dst: "192.168.100.12" }],
          routes: [{ dst, gateway, oif: 7, onlink: true }],
        },
      ],
    });
  });

  it("says once of each lease it cannot use why, and uses the others", () => {
    const log = logger();
    const backend = new VxlanBackend({ rtnl: kernel(vxlanLink()), network: network(), log });
    backend.ensureDevices(ETH0, backend.leaseAttrs(ETH0, []));
    const own = lease("10.244.1.0/24", "192.168.100.11");
    const leases = [
      lease("10.244.2.0/24", "192.168.100.12", vtep(MAC.peer), "host-gw"),
      lease("10.244.3.0/24", "192.168.100.13", {}),
      lease("10.244.4.0/24", "192.168.100.11"),
      lease("10.244.1.128/25", "192.168.100.15"),
      lease("10.244.6.0/24", "192.168.100.16"),
    ];
    for (let pass = 0; pass < 2; pass++)
      assert.deepEqual(
        backend.wanted(own, leases, ETH0, NOTHING).peers.map((peer) => peer.key),
        ["10.244.6.0/24"],
      );
    assert.equal(log.lines.length, 4);
    assert.match(log.lines[0] ?? "", /10\.244\.2\.0\/24.*host-gw/);
    assert.match(log.lines[1] ?? "", /10\.244\.3\.0\/24.*VtepMAC/);
    assert.match(log.lines[2] ?? "", /10\.244\.4\.0\/24.*this node's own/);
    assert.match(log.lines[3] ?? "", /10\.244\.1\.128\/25.*overlaps/);
  });

  it("with DirectRouting routes straight to a peer on the same link, and by the tunnel behind a router", () => {
    const backend = new VxlanBackend({
      rtnl: kernel(vxlanLink()),
      network: network({ DirectRouting: true }),
      log: logger(),
    });
    backend.ensureDevices(ETH0, backend.leaseAttrs(ETH0, []));
    const routes = [route(undefined, "192.168.100.1"), route("192.168.100.0/24")];
    const peers = [lease("10.244.2.0/24", "192.168.100.12"), lease("10.244.3.0/24", "198.51.100.3", vtep(MAC.own))];
    const wanted = backend.wanted(lease("10.244.1.0/24", "192.168.100.11"), peers, ETH0, { ...NOTHING, routes });
    assert.deepEqual(
      wanted.peers.map((peer) => [peer.neighbours.length, peer.fdb.length, peer.routes]),
      [
        [0, 0, [{ dst: parsePrefix("10.244.2.0/24"), gateway: "192.168.100.12", oif: 2, onlink: false }]],
        [1, 1, [{ dst: parsePrefix("10.244.3.0/24"), gateway: "10.244.3.0", oif: 7, onlink: true }]],
      ],
    );
  });

  it("refuses a backend it does not have with the ones it has", () => {
    const carrierPigeon = parseNetworkConfig('{"Network":"10.244.0.0/16","Backend":{"Type":"Pigeon"}}');
    assert.throws(
      () => openBackend({ rtnl: kernel(), network: carrierPigeon, log: logger() }),
      (error: BackendError) => error.name === "BackendError" && /"pigeon".*vxlan/.test(error.message),
    );
  });
});

describe("directInterface()", () => {
  it("takes the longest prefix and the lowest metric, as the kernel does", () => {
    const to = (ip: Ipv4Address, ...routes: Route[]): number | undefined => directInterface(ip, routes);
    const ip = parseIpv4("192.168.100.12");
    assert.equal(to(ip), undefined);
    assert.equal(to(ip, route("192.168.100.0/24")), 2);
    assert.equal(to(ip, route("192.168.100.0/24"), route("192.168.100.12/32", "192.168.100.1")), undefined);
    assert.equal(
      to(
        ip,
        { ...route("192.168.100.0/24", "192.0.2.1"), priority: 50 },
        { ...route("192.168.100.0/24"), priority: 100 },
      ),
      undefined,
    );
    assert.equal(to(ip, { ...route("192.168.100.0/24"), type: 6 }), undefined);
  });
});

function route(dst: string | undefined, gateway?: string): Route {
  return {
    family: 4,
    ...(dst && { dst: parsePrefix(dst) }),
    ...(gateway && { gateway: parseIp(gateway) }),
    oif: 2,
    table: 254,
    protocol: 3,
    scope: 0,
    type: 1,
    tos: 0,
    onlink: false,
    flags: 0,
  };
}

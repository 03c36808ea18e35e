import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type IpAddress, parseIp, parseIpv4, parsePrefix } from "../formats/netip/index.ts";
import type { Address, Link, Route } from "../formats/netlink/index.ts";
import { AgentError } from "./errors.ts";
import { chooseInterface, describeInterface, type InterfaceOptions } from "./external-interface.ts";

const link = (index: number, name: string, mtu = 1500): Link => ({ index, name, mtu }) as Link;
const address = (index: number, prefix: string, fields: Partial<Address> = {}): Address => ({
  index,
  prefix: parsePrefix(prefix),
  scope: 0,
  flags: 0x80,
  ...fields,
});
const defaultRoute = (oif: number, priority?: number): Route =>
  ({ family: 4, oif, gateway: parseIp("192.0.2.254"), type: 1, ...(priority !== undefined && { priority }) }) as Route;

const LISTING = {
  links: [link(1, "lo", 65536), link(2, "eth0"), link(3, "eth1", 9000)],
  addresses: [address(1, "127.0.0.1/8"), address(2, "192.0.2.11/24"), address(3, "198.51.100.11/24")],
  routes: [defaultRoute(3, 100), defaultRoute(2)],
};
const OPTIONS: InterfaceOptions = { iface: [], families: [4] };
/** Everything in 203.0.113.0/24 is reached from eth1. */
const routeTo = (to: string): { oif: number; prefSrc: IpAddress } | undefined =>
  to.startsWith("203.0.113.") ? { oif: 3, prefSrc: parseIp("198.51.100.11") } : undefined;

describe("chooseInterface()", () => {
  for (const [what, options, name] of [
    ["the default route's with the lowest metric", {}, "eth0"],
    ["the named one", { iface: ["eth1"] }, "eth1"],
    ["the owner of the named address", { iface: ["198.51.100.11"] }, "eth1"],
    ["the first there is of several", { iface: ["eth7", "10.9.9.9", "eth1", "eth0"] }, "eth1"],
    ["the first whose address matches", { ifaceRegex: [/^198\.51\./] }, "eth1"],
    ["the first whose name matches", { ifaceRegex: [/h1$/] }, "eth1"],
    ["a matching address before a matching name", { ifaceRegex: [/^198|eth0/] }, "eth1"],
    ["--iface before --iface-regex", { iface: ["eth1"], ifaceRegex: [/eth0/] }, "eth1"],
    ["--iface-regex when there is no such --iface", { iface: ["eth7"], ifaceRegex: [/eth1/] }, "eth1"],
    ["the one that leads to an address", { ifaceCanReach: parseIp("203.0.113.1") }, "eth1"],
    ["--iface-regex before --iface-can-reach", { ifaceRegex: [/eth0/], ifaceCanReach: parseIp("203.0.113.1") }, "eth0"],
    ["the owner of the public address", { publicIp: parseIpv4("198.51.100.11") }, "eth1"],
    ["the default route's when the public address is behind NAT", { publicIp: parseIpv4("203.0.113.5") }, "eth0"],
  ] as const)
    it(`takes ${what}`, () => {
      assert.equal(chooseInterface(LISTING, { ...OPTIONS, ...options }, routeTo).name, name);
    });

  it("takes a matching address of each family when there are two", () => {
    const addresses = [...LISTING.addresses, address(2, "2001:db8::2/64"), address(3, "2001:db8::3/64")];
    const options: InterfaceOptions = { ...OPTIONS, families: [4, 6], ifaceRegex: [/^198|::2$|::3$/] };
    const { pin, ...choice } = chooseInterface({ ...LISTING, addresses }, options, routeTo);
    assert.deepEqual(pin?.families, [4, 6]);
    assert.deepEqual(choice, {
      name: "eth1",
      why: "--iface-regex ^198|::2$|::3$",
      addresses: ["198.51.100.11", "2001:db8::3"],
    });
  });

  it("tells by which address the interface was chosen, and that one is used", () => {
    const addresses = [...LISTING.addresses, address(3, "198.51.100.12/24")];
    for (const options of [{ iface: ["198.51.100.12"] }, { ifaceRegex: [/\.12$/] }] as const) {
      const { name, addresses: prefer } = chooseInterface(
        { ...LISTING, addresses },
        { ...OPTIONS, ...options },
        routeTo,
      );
      const external = describeInterface({ ...LISTING, addresses }, name, { ...OPTIONS, prefer });
      assert.deepEqual([external?.address, external?.publicIp], ["198.51.100.12", "198.51.100.12"]);
    }
  });

  it("takes no other when none matches or leads there", () => {
    const options = { ...OPTIONS, ifaceRegex: [/^wlan/], ifaceCanReach: parseIp("192.0.2.200") };
    const message = /--iface-regex \^wlan: .*--iface-can-reach 192\.0\.2\.200: .*there are eth0/;
    assert.throws(() => chooseInterface(LISTING, options, routeTo), message);
  });

  it("says which there are when there is none as asked for", () => {
    assert.throws(
      () => chooseInterface(LISTING, { ...OPTIONS, iface: ["eth9"] }, routeTo),
      (error) => error instanceof AgentError && /--iface eth9.*eth0 \(192\.0\.2\.11\), eth1/.test(error.message),
    );
    assert.throws(
      () => chooseInterface({ ...LISTING, routes: [] }, OPTIONS, routeTo),
      (error) => error instanceof AgentError && /no IPv4 default route.*--iface/.test(error.message),
    );
  });
});

describe("describeInterface()", () => {
  it("prefers a global permanent address, and never takes a deprecated one", () => {
    const addresses = [
      address(2, "169.254.1.1/16", { scope: 253 }),
      address(2, "192.0.2.9/24", { flags: 0x80 | 0x20 }),
      address(2, "192.0.2.10/24", { flags: 0 }),
      address(2, "192.0.2.11/24"),
      address(2, "2001:db8::b/64", { flags: 0x01 }),
      address(2, "2001:db8::a/64"),
    ];
    assert.deepEqual(describeInterface({ ...LISTING, addresses }, "eth0", { ...OPTIONS, families: [4, 6] }), {
      name: "eth0",
      index: 2,
      mtuBytes: 1500,
      address: "192.0.2.11",
      ipv6Address: "2001:db8::a",
      publicIp: "192.0.2.11",
      publicIpv6: "2001:db8::a",
    });
  });

  it("publishes the public address and sends from the interface's own", () => {
    const publicIp = parseIpv4("203.0.113.5");
    const external = describeInterface(LISTING, "eth0", { ...OPTIONS, publicIp });
    assert.deepEqual([external?.publicIp, external?.address], [publicIp, "192.0.2.11"]);
  });

  it("knows an interface that is gone from one that cannot serve", () => {
    assert.equal(describeInterface(LISTING, "eth9", OPTIONS), undefined);
    assert.throws(() => describeInterface({ ...LISTING, links: [link(2, "eth0", 0)] }, "eth0", OPTIONS), AgentError);
  });
});

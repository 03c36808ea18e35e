import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ExternalInterface } from "../backend/index.ts";
import { parseIp, parseIpv4, parsePrefix } from "../formats/netip/index.ts";
import type { Link } from "../formats/netlink/index.ts";
import { chooseInterface, describeInterface, type InterfaceOptions } from "./external-interface.ts";
import { Underlay } from "./underlay.ts";

type Listing = Parameters<Underlay["follow"]>[0];

const LINK = 253;
/** `eth0` with an index, its addresses, and its MTU. */
function listing(index: number, addresses: readonly string[], mtu = 1500): Listing {
  const link = { index, name: "eth0", isUp: true, mtu } as Link;
  return {
    links: index > 0 ? [link] : [],
    addresses: addresses.map((text) => {
      const prefix = parsePrefix(text);
      return { index, prefix, scope: /^(fe80|169\.254)/.test(text) ? LINK : 0, flags: 0x80 };
    }),
    routes: [],
  };
}

function underlay(
  options: Partial<InterfaceOptions> = {},
  at: Listing = listing(2, ["192.168.100.11/24", "fd00:100::b/64", "fe80::1/64"]),
): { underlay: Underlay; changes: ExternalInterface[] } {
  const interfaceOptions = { iface: ["eth0"], families: [4 as const], ...options };
  const { name, addresses, pin } = chooseInterface(at, interfaceOptions, () => undefined);
  const external = describeInterface(at, name, { ...interfaceOptions, prefer: addresses });
  assert.ok(external);
  const followed = new Underlay({ external, interfaceOptions, pin, listing: at });
  const changes: ExternalInterface[] = [];
  followed.listen((now) => changes.push(now));
  return { underlay: followed, changes };
}

describe("Underlay", () => {
  it("follows the interface to another address, index and MTU, and says so once", () => {
    const { underlay: u, changes } = underlay();
    const moved = listing(9, ["192.168.100.77/24"], 9000);
    assert.equal(u.look(moved).address, "192.168.100.77");
    assert.equal(u.external.address, "192.168.100.11", "a look changes nothing");
    for (let i = 0; i < 2; i++) {
      const { index, address, publicIp, mtuBytes } = u.follow(moved);
      assert.deepEqual([index, address, publicIp, mtuBytes], [9, "192.168.100.77", "192.168.100.77", 9000]);
    }
    assert.equal(changes.length, 1);
  });

  it("stays with its address for as long as that is there, whatever is added before it", () => {
    const { underlay: u, changes } = underlay();
    assert.equal(u.follow(listing(2, ["192.168.100.5/24", "192.168.100.11/24"])).address, "192.168.100.11");
    assert.deepEqual(changes, []);
    assert.equal(u.follow(listing(2, ["192.168.100.5/24"])).address, "192.168.100.5");
    assert.equal(u.follow(listing(2, ["192.168.100.11/24", "192.168.100.5/24"])).address, "192.168.100.5");
  });

  it("waits while there is no interface or no address that others can reach, and goes on as it was", () => {
    const { underlay: u, changes } = underlay({ families: [4, 6] });
    assert.throws(() => u.follow(listing(0, [])), /eth0 is not there; waiting/);
    assert.throws(() => u.follow(listing(2, [])), /eth0 has no IPv4 address \(it had 192\.168\.100\.11\); waiting/);
    const linkLocal = listing(2, ["192.168.100.11/24", "fe80::1/64"]);
    assert.throws(() => u.follow(linkLocal), /no IPv6 address \(it had fd00:100::b\); waiting/);
    assert.deepEqual(changes, []);
    u.follow(listing(2, ["192.168.100.11/24", "fd00:100::b/64"]));
    assert.deepEqual(changes, []);
  });

  it("waits for the address that --iface names, and says what there is instead", () => {
    const { underlay: u, changes } = underlay({ iface: ["192.168.100.11"] });
    assert.throws(
      () => u.follow(listing(2, ["192.168.100.12/24"])),
      /eth0 has no address any more that --iface 192\.168\.100\.11 asks for; it has 192\.168\.100\.12; give it back, or restart the agent with another --iface/,
    );
    assert.equal(u.follow(listing(3, ["192.168.100.12/24", "192.168.100.11/24"])).address, "192.168.100.11");
    assert.deepEqual(
      changes.map(({ index }) => index),
      [3],
    );
  });

  it("moves to another address that --iface-regex matches, and waits when there is none", () => {
    const { underlay: u } = underlay({ iface: [], ifaceRegex: [/^192\.168\.100\./] });
    assert.equal(u.follow(listing(2, ["10.0.0.1/24", "192.168.100.12/24"])).address, "192.168.100.12");
    assert.throws(() => u.follow(listing(2, ["10.0.0.1/24"])), /--iface-regex .*asks for; it has 10\.0\.0\.1/);
  });

  it("waits for a public address that was the node's own, and leaves one behind NAT alone", () => {
    const own = underlay({ publicIp: parseIpv4("192.168.100.11") });
    const moved = listing(2, ["192.168.100.12/24"]);
    assert.throws(() => own.underlay.follow(moved), /--public-ip 192\.168\.100\.11 asks for/);
    const behindNat = underlay({ publicIp: parseIpv4("203.0.113.5") });
    const { address, publicIp } = behindNat.underlay.follow(moved);
    assert.deepEqual([address, publicIp], ["192.168.100.12", "203.0.113.5"]);
  });

  it("does not go where the node must not be", () => {
    const at = listing(2, ["192.168.100.11/24"]);
    const external = describeInterface(at, "eth0", { iface: [], families: [4] });
    assert.ok(external);
    const refuse = (): never => assert.fail("overlaps");
    const u = new Underlay({ external, interfaceOptions: { iface: [], families: [4] }, listing: at, refuse });
    u.follow(at);
    assert.throws(() => u.follow(listing(2, ["10.244.0.1/16"])), /overlaps/);
    assert.equal(u.external.address, parseIp("192.168.100.11"));
  });
});

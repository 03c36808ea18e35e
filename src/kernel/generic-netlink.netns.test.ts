import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { type IpAddress, parseIp, parsePrefix } from "../formats/netip/index.ts";
import { newLink, parseKey } from "../formats/netlink/index.ts";
import { isNotFound, isUnsupported, NetlinkError } from "./errors.ts";
import { GenericNetlink } from "./generic-netlink.ts";
import { indexOf, Namespaces, whyNoNetNs } from "./testing/namespaces.ts";
import { WireGuard } from "./wireguard.ts";

const skip = whyNoNetNs();
const namespaces = new Namespaces();
after(() => namespaces[Symbol.dispose]());

describe("generic netlink", { skip }, () => {
  it("finds the families that every kernel has", () => {
    using netlink = GenericNetlink.open(namespaces.fresh().ns);
    assert.deepEqual(netlink.family("nlctrl"), { id: 0x10, name: "nlctrl", version: 2 });
    const ethtool = netlink.family("ethtool");
    assert.equal(ethtool.name, "ethtool");
    assert.ok(ethtool.id > 0x10, `${ethtool.id}`);
  });

  it("says which family the kernel does not have", () => {
    using netlink = GenericNetlink.open(namespaces.fresh().ns);
    assert.throws(
      () => netlink.family("podpath"),
      (error) =>
        error instanceof NetlinkError &&
        isNotFound(error) &&
        /Cannot find the generic netlink family podpath: .*ENOENT/.test(error.message),
    );
  });
});

/** Why there is no WireGuard here, or false. */
function whyNoWireGuard(): string | false {
  if (skip) return skip;
  try {
    const { rtnl } = namespaces.fresh();
    rtnl.execute(newLink({ name: "wg", kind: { kind: "wireguard" } }));
    return false;
  } catch (error) {
    assert.ok(isUnsupported(error), String(error));
    return `this kernel has no WireGuard; try: npm run test:other-kernel -- dist/kernel/generic-netlink.netns.test.js`;
  }
}

describe("WireGuard in a kernel", { skip: whyNoWireGuard() }, () => {
  const { ns, rtnl } = skip ? ({} as ReturnType<Namespaces["fresh"]>) : namespaces.fresh();
  const at = (address: string, port: number): { address: IpAddress; port: number } => ({
    address: parseIp(address),
    port,
  });
  const [privateKey, publicKey, presharedKey] = [
    "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=",
    "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=",
    "FpCyhws9cxwWoV4xELtfJvjJN+zQVRPISllRWgeopVE=",
  ].map(parseKey) as [ReturnType<typeof parseKey>, ReturnType<typeof parseKey>, ReturnType<typeof parseKey>];

  it("has what it is told, and keeps what it is not told", () => {
    rtnl.execute(newLink({ name: "wg", kind: { kind: "wireguard" } }));
    const index = indexOf(rtnl, "wg");
    using wireguard = WireGuard.open(ns);
    assert.deepEqual(wireguard.device(index), { index, name: "wg", listenPort: 0, fwmark: 0, peers: [] });
    const allowedIps = ["10.244.2.0/24", "2001:db8:42:2::/64"].map(parsePrefix);
    const peer = {
      publicKey,
      presharedKey,
      endpoint: at("192.168.100.12", 51820),
      persistentKeepaliveSeconds: 25,
      allowedIps,
    };
    assert.deepEqual(
      wireguard.set([
        { index, privateKey, listenPort: 51820 },
        { index, peer },
      ]),
      [],
    );
    const first = wireguard.device(index);
    assert.equal(first.privateKey, privateKey);
    assert.equal(first.publicKey, "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=");
    assert.deepEqual(first.peers, [{ ...peer, lastHandshakeSeconds: 0, rxBytes: 0, txBytes: 0 }]);
    const endpoint = at("fd00:100::c", 51821);
    assert.deepEqual(wireguard.set([{ index, peer: { publicKey, endpoint, updateOnly: true } }]), []);
    assert.deepEqual(wireguard.device(index).peers, [
      { ...peer, endpoint, lastHandshakeSeconds: 0, rxBytes: 0, txBytes: 0 },
    ]);
    assert.deepEqual(wireguard.set([{ index, peer: { publicKey, remove: true } }]), []);
    assert.deepEqual(wireguard.device(index).peers, []);
  });

  it("says what it refuses, and does the rest", () => {
    using wireguard = WireGuard.open(ns);
    const index = indexOf(rtnl, "wg");
    const peer = { publicKey, allowedIps: [parsePrefix("10.244.2.0/24")] };
    const errors = wireguard.set([
      { index: 999_999, peer },
      { index, peer },
    ]);
    assert.deepEqual(
      errors.map(({ code, requestIndex }) => [code, requestIndex]),
      [["ENODEV", 0]],
    );
    assert.match(
      errors[0]?.message ?? "",
      new RegExp(`set peer ${publicKey.replace(/[+/]/g, ".")} of WireGuard device`),
    );
    assert.equal(wireguard.device(index).peers.length, 1);
    assert.throws(() => wireguard.device(999_999), isNotFound);
    assert.throws(() => wireguard.device(1), isUnsupported);
  });
});

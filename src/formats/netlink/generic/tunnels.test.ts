// What iproute2 and wg said of ipip and WireGuard to a kernel that has them, and what it answered.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import fc from "fast-check";
import { formatPrefix, type IpAddress, parseIp, parseIpv4, parsePrefix } from "../../netip/index.ts";
import * as nl from "../index.ts";
import { attributeTree } from "../testing/attribute-tree.ts";

// testdata/netlink/make-tunnels.mjs recorded it.
const file = new URL("../../../../testdata/netlink/tunnels.json", import.meta.url);
interface Recorded {
  readonly requests: { readonly command: string; readonly hex: string }[];
  // biome-ignore lint/suspicious/noExplicitAny: what `ip -j -d` prints has no schema
  readonly replies: { readonly command: string; readonly hex: string[]; readonly says: any }[];
}
const recorded: Recorded = JSON.parse(readFileSync(file, "utf8"));

const family: nl.GenericFamily = { id: 0x20, name: "wireguard", version: 1 };
const [first, second] = [
  "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=",
  "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0=",
].map(nl.parseKey) as [nl.WireGuardKey, nl.WireGuardKey];
const PRIVATE = nl.parseKey("yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=");
const PRESHARED = nl.parseKey("FpCyhws9cxwWoV4xELtfJvjJN+zQVRPISllRWgeopVE=");
const peer = (change: nl.WireGuardPeerChange): nl.Request => nl.setWireGuard(family, { index: 21, peer: change });
const at = (address: string, port: number): { address: IpAddress; port: number } => ({
  address: parseIp(address),
  port,
});

const OURS: readonly (readonly [command: RegExp, request: nl.Request])[] = [
  [
    /^ip link add name flannel\.ipip/,
    nl.newLink({
      name: "flannel.ipip",
      index: 20,
      mtu: 1480,
      kind: { kind: "ipip", local: parseIpv4("192.168.100.11"), ttl: 0, tos: 0, pmtudisc: false },
    }),
  ],
  [
    /^ip link add name other\.ipip/,
    nl.newLink({
      name: "other.ipip",
      index: 22,
      kind: {
        kind: "ipip",
        local: parseIpv4("192.0.2.1"),
        remote: parseIpv4("192.0.2.2"),
        ttl: 64,
        tos: 2,
        pmtudisc: true,
      },
    }),
  ],
  [/type wireguard$/, nl.newLink({ name: "flannel-wg", index: 21, mtu: 1420, kind: { kind: "wireguard" } })],
  [/^genl ctrl get name wireguard$/, nl.getFamily("wireguard")],
  [/private-key/, nl.setWireGuard(family, { index: 21, listenPort: 51820, privateKey: PRIVATE })],
  [
    /preshared-key/,
    peer({
      publicKey: first,
      presharedKey: PRESHARED,
      endpoint: at("192.168.100.12", 51820),
      persistentKeepaliveSeconds: 25,
      allowedIps: ["10.244.2.0/24", "2001:db8:42:2::/64"].map(parsePrefix),
    }),
  ],
  [
    /fd00:100::d/,
    peer({ publicKey: second, endpoint: at("fd00:100::d", 51821), allowedIps: [parsePrefix("10.244.3.0/24")] }),
  ],
  [/^wg show flannel-wg dump$/, nl.dumpWireGuard(family, 21)],
  [/ remove$/, peer({ publicKey: first, remove: true })],
];

/** Where we differ from iproute2 and wg on purpose. */
const DIFFERENCES: readonly { path: string; ours?: string; theirs?: string; why: string }[] = [
  ...["ipip", "wireguard"].map((kind) => ({
    path: "16.18.1",
    ours: `${Buffer.from(kind).toString("hex")}00`,
    theirs: Buffer.from(kind).toString("hex"),
    why: "IFLA_INFO_KIND is NLA_STRING: with or without its NUL",
  })),
  ...["1", "20"].map((type) => ({ path: `16.18.2.${type}`, theirs: "00000000", why: "no lower device, no mark" })),
  ...["15", "16", "17", "18"].map((type) => ({ path: `16.18.2.${type}`, theirs: "0000", why: "no UDP around it" })),
  { path: "16.18.2.9", theirs: "00", why: "iproute2's default is any, for MPLS too; the kernel's own is ipip" },
  { path: "genl.2", theirs: `${Buffer.from("flannel-wg").toString("hex")}00`, why: "we name the device by its index" },
  { path: "genl.1", ours: "15000000", why: "the same" },
];

const NESTS = new Set(["16.18", "16.18.2", "genl.8", "genl.8.0", "genl.8.0.9", "genl.8.0.9.0"]);

describe("requests of ipip and WireGuard", () => {
  for (const [pattern, request] of OURS) {
    const theirs = recorded.requests.find(({ command }) => pattern.test(command));
    it(`${theirs?.command}: ours says the same`, () => {
      assert.ok(theirs, `${pattern} is not recorded`);
      const [message] = nl.decodeMessages(Uint8Array.from(Buffer.from(theirs.hex, "hex")));
      assert.ok(message);
      assert.equal(request.type, message.type);
      assert.equal(request.flags, message.flags & ~(nl.NLM_F_REQUEST | nl.NLM_F_ACK));
      const isLink = message.type === nl.RTM_NEWLINK && theirs.command.startsWith("ip ");
      const nests = (path: string): number | undefined => (NESTS.has(path) ? 0 : undefined);
      const shape = { name: isLink ? "16" : "genl", headerLength: isLink ? 16 : 4, nests };
      const [weSay, theySay] = [attributeTree(request.payload, shape), attributeTree(message.payload, shape)];
      for (const difference of DIFFERENCES)
        if (weSay.get(difference.path) === difference.ours && theySay.get(difference.path) === difference.theirs) {
          weSay.delete(difference.path);
          theySay.delete(difference.path);
        }
      assert.deepEqual(weSay, theySay);
    });
  }
});

function replies(command: string): { messages: nl.Message[]; says: Recorded["replies"][number]["says"] }[] {
  return recorded.replies
    .filter((reply) => reply.command === command)
    .map(({ hex, says }) => {
      const messages = hex.flatMap((text) => nl.decodeMessages(Uint8Array.from(Buffer.from(text, "hex"))));
      return { messages, says };
    });
}

/** What `wg show DEV dump` prints. */
function dumpOf(device: nl.WireGuardDevice): string {
  const { privateKey = "(none)", publicKey = "(none)", listenPort } = device;
  const lines = device.peers.map((peer) => {
    const { presharedKey = "(none)", endpoint, persistentKeepaliveSeconds: keepalive } = peer;
    const host = endpoint?.address.includes(":") ? `[${endpoint.address}]` : endpoint?.address;
    const allowed = peer.allowedIps.map(formatPrefix).join(",");
    const where = endpoint ? `${host}:${endpoint.port}` : "(none)";
    const counters = [peer.lastHandshakeSeconds, peer.rxBytes, peer.txBytes, keepalive || "off"];
    return [peer.publicKey, presharedKey, where, allowed, ...counters].join("\t");
  });
  return [[privateKey, publicKey, listenPort, "off"].join("\t"), ...lines, ""].join("\n");
}

describe("answers of ipip and WireGuard", () => {
  it("decodeLink() reads what ip -d link prints", () => {
    const [reply] = replies("ip -d -j link show");
    const links = reply?.messages
      .filter(({ type }) => type === nl.RTM_NEWLINK)
      .map((message) => nl.decodeLink(message));
    const kind = (name: string): unknown => links?.find((link) => link.name === name)?.kind;
    const says = (name: string): unknown =>
      reply?.says.find((link: { ifname: string }) => link.ifname === name)?.linkinfo.info_data;
    assert.deepEqual(kind("flannel.ipip"), {
      kind: "ipip",
      local: "192.168.100.11",
      ttl: 0,
      tos: 0,
      pmtudisc: false,
    });
    assert.deepEqual(says("flannel.ipip"), {
      proto: "any",
      remote: "any",
      local: "192.168.100.11",
      ttl: 0,
      pmtudisc: false,
    });
    assert.deepEqual(kind("other.ipip"), {
      kind: "ipip",
      local: "192.0.2.1",
      remote: "192.0.2.2",
      ttl: 64,
      tos: 2,
      pmtudisc: true,
    });
    assert.deepEqual(kind("flannel-wg"), { kind: "wireguard" });
  });

  it("decodeFamily() finds the family's number", () => {
    const [message] = replies("genl ctrl get name wireguard")[0]?.messages ?? [];
    assert.ok(message);
    assert.deepEqual(nl.decodeFamily(message), { id: 0x20, name: "wireguard", version: 1 });
  });

  it("decodeWireGuard() reads what wg show dump prints, before and after there are peers", () => {
    const dumps = replies("wg show flannel-wg dump");
    assert.equal(dumps.length, 2);
    for (const { messages, says } of dumps)
      assert.equal(dumpOf(nl.decodeWireGuard(messages.filter(({ type }) => type === family.id))), says);
  });

  it("decodeWireGuard() puts a peer together that goes on in the next message", () => {
    const [reply] = replies("wg show flannel-wg allowed-ips");
    const messages = reply?.messages.filter(({ type }) => type === family.id) ?? [];
    assert.ok(messages.length > 2);
    const device = nl.decodeWireGuard(messages);
    const lines = device.peers.map(({ publicKey, allowedIps }) => {
      return `${publicKey}\t${allowedIps.map(formatPrefix).join(" ")}\n`;
    });
    assert.equal(lines.join(""), reply?.says);
    assert.equal(device.peers.length, 2);
  });

  it("cut or changed bytes give a DecodeError or an answer, never more", () => {
    const messages = recorded.replies
      .flatMap(({ hex }) => hex.flatMap((text) => nl.decodeMessages(Uint8Array.from(Buffer.from(text, "hex")))))
      .filter(({ type, payload }) => type >= nl.RTM_NEWLINK && payload.length < 2000);
    assert.ok(messages.length > 5);
    fc.assert(
      fc.property(fc.constantFrom(...messages), fc.nat(), fc.nat(), fc.nat(255), (message, cut, where, value) => {
        const payload = message.payload.slice(0, cut % (message.payload.length + 1));
        if (payload.length > 0) payload[where % payload.length] = value;
        const damaged = { ...message, payload };
        for (const decode of [nl.decodeLink, nl.decodeFamily, (one: nl.Message) => nl.decodeWireGuard([one])])
          try {
            decode(damaged);
          } catch (error) {
            assert.ok(error instanceof nl.DecodeError, String(error));
          }
        nl.describeGenericRequest(damaged);
      }),
      { numRuns: 500 },
    );
  });
});

describe("WireGuardKey", () => {
  it("is the base64 of its bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (bytes) => {
        const key = nl.keyFromBytes(bytes);
        assert.equal(key, Buffer.from(bytes).toString("base64"));
        assert.equal(nl.parseKey(key), key);
        assert.deepEqual(nl.keyToBytes(key), bytes);
      }),
    );
    assert.throws(() => nl.keyFromBytes(new Uint8Array(31)), RangeError);
  });

  for (const [what, text] of [
    ["nothing", ""],
    ["31 bytes", Buffer.alloc(31, 7).toString("base64")],
    ["33 bytes", Buffer.alloc(33, 7).toString("base64")],
    ["a second spelling of the same bytes", "FpCyhws9cxwWoV4xELtfJvjJN+zQVRPISllRWgeopVF="],
    ["base64url", "FpCyhws9cxwWoV4xELtfJvjJN-zQVRPISllRWgeopVE="],
    ["a key and a newline", `${PRESHARED}\n`],
  ] as const)
    it(`is not ${what}, and the error does not tell it`, () => {
      assert.throws(
        () => nl.parseKey(text),
        (error: Error) => error instanceof RangeError && (text === "" || !error.message.includes(text.slice(0, 8))),
      );
    });

  it("describeWireGuardRequest() tells the device and the public key, and no secret", () => {
    const nameOf = (): string => "flannel-wg";
    const lines = OURS.slice(4).map(([, request]) => nl.describeWireGuardRequest(request, nameOf));
    assert.deepEqual(lines, [
      "set up WireGuard device flannel-wg",
      `set peer ${first} of WireGuard device flannel-wg`,
      `set peer ${second} of WireGuard device flannel-wg`,
      "list the peers of WireGuard device flannel-wg",
      `remove peer ${first} of WireGuard device flannel-wg`,
    ]);
    assert.equal(nl.describeGenericRequest(nl.getFamily("wireguard")), "find the generic netlink family wireguard");
  });
});

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, beforeEach, describe, it } from "node:test";
import { formatWireguardBackendData, type LeaseAttrs, parseNetworkConfig } from "../../formats/flannel/index.ts";
import { formatPrefix, parseIp, parseIpv4, parseIpv6, parsePrefix } from "../../formats/netip/index.ts";
import { newLink, parseKey, RTM_NEWLINK, type WireGuardPeer } from "../../formats/netlink/index.ts";
import { fakeRtnl } from "../../kernel/testing/fake-rtnl.ts";
import type { Lease } from "../../subnet/index.ts";
import { BackendError, type ExternalInterface } from "../index.ts";
import { MemoryKernel } from "../testing/memory-kernel.ts";
import { endpointAddress } from "./endpoint.ts";
import { generatePrivateKey, publicKeyOf } from "./keys.ts";
import { WireguardBackend } from "./wireguard.ts";

const [ENODEV, EOPNOTSUPP] = [19, 95];
const PSK = "FpCyhws9cxwWoV4xELtfJvjJN+zQVRPISllRWgeopVE=";
const ETH0: ExternalInterface = {
  name: "eth0",
  index: 2,
  mtuBytes: 1500,
  address: parseIpv4("192.168.100.11"),
  publicIp: parseIpv4("192.168.100.11"),
  ipv6Address: parseIpv6("fd00:100::b"),
  publicIpv6: parseIpv6("fd00:100::b"),
};
const dir = mkdtempSync(join(tmpdir(), "podpath-wireguard-"));
const keyFile = join(dir, "run", "flannel", "wgkey");
process.env.WIREGUARD_KEY_FILE = keyFile;
const keyOf = (n: number): string => Buffer.alloc(32, n).toString("base64");

function lease(n: number, { publicKey = keyOf(n), ip = n, port = 51820 } = {}): Lease {
  const backendData = formatWireguardBackendData({ publicKey, port });
  return {
    subnet: parsePrefix(`10.244.${n}.0/24`),
    ipv6Subnet: parsePrefix(`2001:db8:42:${n}::/64`),
    attrs: {
      publicIp: parseIpv4(`192.168.100.${ip}`),
      publicIpv6: parseIpv6(`fd00:100::${ip}`),
      backendType: "wireguard",
      backendData,
      backendV6Data: backendData,
    },
  };
}

interface Node {
  readonly kernel: MemoryKernel;
  readonly backend: WireguardBackend;
  readonly own: Lease;
  readonly lines: string[];
  /** One pass with these peers; gives what it asked of WireGuard. */
  pass(peers: readonly Lease[], skip?: (of: string) => boolean): Promise<unknown[]>;
  peers(device?: string): readonly WireGuardPeer[];
  readonly failures: { of: string; error: unknown }[];
}

function start(options: object = {}, rest: object = {}, kernel: MemoryKernel = new MemoryKernel()): Node {
  const lines: string[] = [];
  const say = (fields: object, message: string): void => {
    lines.push(`${message} ${JSON.stringify(fields)}`);
  };
  const log = { debug: say, info: say, warn: say, error: say };
  const network = parseNetworkConfig(
    JSON.stringify({ Network: "10.244.0.0/16", Backend: { Type: "wireguard", ...options }, ...rest }),
  );
  const { wireguard } = kernel;
  const backend = new WireguardBackend({ rtnl: kernel, wireguard, network, log });
  const own = { ...lease(1), attrs: backend.leaseAttrs(ETH0) };
  const failures: Node["failures"] = [];
  return {
    kernel,
    backend,
    own,
    lines,
    failures,
    pass: async (peers, skip = () => false) => {
      backend.ensureDevices(ETH0);
      const before = wireguard.changes.length;
      failures.splice(0, failures.length, ...(await backend.settle(own, peers, ETH0, skip)));
      return wireguard.changes.slice(before).map(({ peer }) => peer);
    },
    peers: (device = "flannel-wg") => wireguard.device(kernel.link(device)?.index ?? 0).peers,
  };
}
const DUAL = { EnableIPv6: true, IPv6Network: "2001:db8:42::/48" };
const allowed = (peers: readonly WireGuardPeer[]): string[] =>
  peers.map(({ endpoint, allowedIps }) => `${endpoint?.address} ${allowedIps.map(formatPrefix).join(",")}`);

describe("the wireguard backend", () => {
  beforeEach(() => rmSync(join(dir, "run"), { recursive: true, force: true }));
  after(() => rmSync(dir, { recursive: true, force: true }));

  it("makes a key file as Flannel does, keeps it, and tells others its public key", () => {
    const { own } = start();
    const text = readFileSync(keyFile, "utf8");
    assert.equal(statSync(keyFile).mode & 0o777, 0o400);
    assert.equal(text, parseKey(text));
    assert.deepEqual(own.attrs.backendData, { PublicKey: publicKeyOf(parseKey(text)), Port: 51820 });
    assert.deepEqual(start().own.attrs, own.attrs);
  });

  it("derives public keys as wg pubkey does", () => {
    const pair = ["yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=", "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw="];
    assert.equal(publicKeyOf(parseKey(pair[0] ?? "")), pair[1]);
    const made = Buffer.from(generatePrivateKey(), "base64");
    assert.equal((made[0] ?? 0) & 7, 0);
    assert.equal((made[31] ?? 0) & 0xc0, 0x40);
  });

  it("says of a key file that is no key what to do, and not what is in it", () => {
    start();
    rmSync(keyFile);
    writeFileSync(keyFile, "almost-a-secret");
    assert.throws(
      () => start(),
      (error) =>
        error instanceof BackendError &&
        /wgkey.*wg genkey.*WIREGUARD_KEY_FILE/.test(error.message) &&
        !error.message.includes("almost"),
    );
  });

  it("takes the key of its device when the file is lost, so that no peer has to learn another", () => {
    const { kernel, backend, own } = start();
    backend.ensureDevices(ETH0);
    const key = readFileSync(keyFile, "utf8");
    rmSync(keyFile);
    assert.deepEqual(start({}, {}, kernel).own.attrs, own.attrs);
    assert.equal(readFileSync(keyFile, "utf8"), key);
  });

  it("sends peers once, and then only what is different", async () => {
    const node = start({ PersistentKeepaliveInterval: 25, PSK });
    assert.equal((await node.pass([lease(2), lease(3)])).length, 2);
    assert.deepEqual(allowed(node.peers()), ["192.168.100.2 10.244.2.0/24", "192.168.100.3 10.244.3.0/24"]);
    assert.ok(node.peers().every((peer) => peer.presharedKey === PSK && peer.persistentKeepaliveSeconds === 25));
    assert.deepEqual(await node.pass([lease(2), lease(3)]), []);
    assert.deepEqual(await node.pass([lease(2, { ip: 99 }), lease(3)]), [
      { publicKey: keyOf(2), updateOnly: true, endpoint: { address: "192.168.100.99", port: 51820 } },
    ]);
    assert.deepEqual(await node.pass([lease(2, { ip: 99 })]), [{ publicKey: keyOf(3), remove: true }]);
    assert.deepEqual(allowed(node.peers()), ["192.168.100.99 10.244.2.0/24"]);
  });

  it("changes preshared key and keepalive of a running peer alone when the config did", async () => {
    const { kernel, pass } = start({ PSK, PersistentKeepaliveInterval: 5 });
    await pass([lease(2)]);
    assert.deepEqual(await start({}, {}, kernel).pass([lease(2)]), [
      { publicKey: keyOf(2), updateOnly: true, presharedKey: keyOf(0), persistentKeepaliveSeconds: 0 },
    ]);
    assert.equal(kernel.wireguard.device(kernel.link("flannel-wg")?.index ?? 0).peers[0]?.presharedKey, undefined);
  });

  it("finds a predecessor's device and peers, keeps them, and removes who went meanwhile", async () => {
    const { kernel, pass } = start();
    await pass([lease(2), lease(3)]);
    const links = kernel.requests.length;
    const next = start({}, {}, kernel);
    const before = kernel.wireguard.changes.length;
    assert.deepEqual(await next.pass([lease(2)]), [{ publicKey: keyOf(3), remove: true }]);
    assert.equal(kernel.wireguard.changes.length, before + 1, "neither key nor port are set again");
    assert.equal(kernel.requests.length, links);
    await next.backend.stop();
    assert.deepEqual(await start({}, {}, kernel).pass([lease(2)]), []);
  });

  it("reaches a peer with a new key by that before the old one goes", async () => {
    const node = start();
    await node.pass([lease(2)]);
    const changes = await node.pass([lease(2, { publicKey: keyOf(77) })]);
    assert.deepEqual(
      (changes as { publicKey: string; remove?: boolean }[]).map(({ publicKey, remove }) => [
        publicKey,
        remove ?? false,
      ]),
      [
        [keyOf(77), false],
        [keyOf(2), true],
      ],
    );
    assert.deepEqual(allowed(node.peers()), ["192.168.100.2 10.244.2.0/24"]);
  });

  it("leaves a peer that roamed alone while its session lives, and puts it back when that is over", async () => {
    const node = start();
    await node.pass([lease(2)]);
    const index = node.kernel.link("flannel-wg")?.index ?? 0;
    const now = Math.floor(Date.now() / 1000);
    const elsewhere = { address: parseIp("198.51.100.9"), port: 1025 };
    node.kernel.wireguard.happens(index, keyOf(2), { endpoint: elsewhere, lastHandshakeSeconds: now - 100 });
    assert.deepEqual(await node.pass([lease(2)]), []);
    assert.deepEqual(node.peers()[0]?.endpoint, elsewhere);
    node.kernel.wireguard.happens(index, keyOf(2), { lastHandshakeSeconds: now - 200 });
    const endpoint = { address: "192.168.100.2", port: 51820 };
    assert.deepEqual(await node.pass([lease(2)]), [{ publicKey: keyOf(2), updateOnly: true, endpoint }]);
    assert.deepEqual(await node.pass([lease(2)]), []);
  });

  it("tells one peer's failure and does the others', and not again while it shall wait", async () => {
    const node = start();
    node.backend.ensureDevices(ETH0);
    node.kernel.wireguard.refuses = ({ peer }) => peer?.publicKey === keyOf(2);
    await node.pass([lease(2), lease(3)]);
    assert.deepEqual(
      node.failures.map(({ of }) => of),
      ["WireGuard peer 10.244.2.0/24 2001:db8:42:2::/64"],
    );
    assert.deepEqual(allowed(node.peers()), ["192.168.100.3 10.244.3.0/24"]);
    assert.deepEqual(await node.pass([lease(2), lease(3)], (of) => of.includes("10.244.2.0/24")), []);
  });

  it("gives two nodes with one key to the first, and says so of the second", async () => {
    const node = start();
    await node.pass([lease(2), lease(3, { publicKey: keyOf(2) })]);
    assert.deepEqual(allowed(node.peers()), ["192.168.100.2 10.244.2.0/24"]);
    assert.match(String(node.failures[0]?.error), /PublicKey is that of WireGuard peer 10\.244\.2\.0\/24.*key file/);
    assert.deepEqual(await node.pass([lease(2), lease(3, { publicKey: keyOf(2) })]), [], "nothing changes hands");
  });

  it("ignores leases without a usable key, and this node's own key, with a line each", async () => {
    const node = start();
    const own = (node.own.attrs.backendData as { PublicKey: string }).PublicKey;
    const without: LeaseAttrs = { ...lease(4).attrs, backendData: {}, backendV6Data: {} };
    await node.pass([lease(2, { publicKey: "short" }), lease(3, { publicKey: own }), { ...lease(4), attrs: without }]);
    assert.deepEqual(node.peers(), []);
    const ignored = node.lines.filter((line) => line.startsWith("ignoring"));
    assert.match(
      ignored.join("\n"),
      /10\.244\.2\.0.*not a WireGuard key[\s\S]*10\.244\.3\.0.*own[\s\S]*10\.244\.4\.0.*PublicKey is missing/,
    );
    assert.equal(ignored.length, 3);
  });

  it("takes its own port for a lease without one, as old Flannels make them", async () => {
    const node = start({ ListenPort: 50000 });
    const attrs = { ...lease(2).attrs, backendData: { PublicKey: keyOf(2) } };
    await node.pass([{ ...lease(2), attrs }]);
    assert.equal(node.peers()[0]?.endpoint?.port, 50000);
  });

  it("has a device for each family with Mode separate, and one for both with the others", async () => {
    const separate = start({}, DUAL);
    await separate.pass([lease(2)]);
    assert.deepEqual(allowed(separate.peers()), ["192.168.100.2 10.244.2.0/24"]);
    assert.deepEqual(allowed(separate.peers("flannel-wg-v6")), ["fd00:100::2 2001:db8:42:2::/64"]);
    for (const [Mode, address] of [
      ["ipv4", "192.168.100.2"],
      ["ipv6", "fd00:100::2"],
      ["auto", "192.168.100.2"],
    ]) {
      const node = start({ Mode }, DUAL);
      await node.pass([lease(2)]);
      assert.deepEqual(node.backend.deviceNames, ["flannel-wg"]);
      assert.deepEqual(allowed(node.peers()), [`${address} 10.244.2.0/24,2001:db8:42:2::/64`]);
      const { devices } = node.backend.wanted(node.own, [lease(2)], ETH0);
      assert.deepEqual(
        devices.map(({ addresses, routes = [] }) => [
          addresses.map(formatPrefix),
          routes.map(({ dst }) => formatPrefix(dst)),
        ]),
        [
          [
            ["10.244.1.0/32", "2001:db8:42:1::/128"],
            ["10.244.0.0/16", "2001:db8:42::/48"],
          ],
        ],
      );
    }
  });

  it("counts a configured MTU as the underlay's", () => {
    const node = start({ MTU: 1400 });
    assert.equal(node.backend.mtuBytes(ETH0), 1320);
    node.backend.ensureDevices(ETH0);
    assert.equal(node.kernel.link("flannel-wg")?.mtu, 1320);
  });

  it("never logs and never tells a secret", async () => {
    const node = start({ PSK });
    node.kernel.wireguard.refuses = ({ peer }) => peer?.publicKey === keyOf(3);
    await node.pass([lease(2), lease(3)]);
    const said = [...node.lines, ...node.failures.map(({ error }) => String(error))].join("\n");
    for (const secret of [PSK, readFileSync(keyFile, "utf8")]) assert.ok(!said.includes(secret));
    assert.throws(
      () => start({ PSK: `${PSK}x` }),
      (error: Error) => /PSK is not a WireGuard key.*wg genpsk/.test(error.message) && !error.message.includes(PSK),
    );
    assert.throws(
      () => start({ PSK: 12345678 }),
      (error: Error) => !error.message.includes("12345678"),
    );
  });

  for (const [what, options, message] of [
    ["a mode", { Mode: "IPv4" }, /Mode must be one of separate, auto, ipv4, ipv6, not "IPv4"/],
    ["a port", { ListenPort: 70000 }, /ListenPort must be a whole number from 1 to 65535/],
    ["an interval", { PersistentKeepaliveInterval: "25s" }, /PersistentKeepaliveInterval must be a whole number/],
  ] as const)
    it(`refuses ${what} that cannot be, and names the key`, () => {
      assert.throws(() => start(options), message);
    });

  it("says what a kernel without WireGuard lacks, and leaves a device of another kind alone", () => {
    const { rtnl } = fakeRtnl(({ type }) => ({ errno: type === RTM_NEWLINK ? EOPNOTSUPP : ENODEV }));
    const network = parseNetworkConfig('{"Network":"10.244.0.0/16","Backend":{"Type":"wireguard"}}');
    const log = { debug() {}, info() {}, warn() {}, error() {} };
    const backend = new WireguardBackend({ rtnl, network, log });
    backend.leaseAttrs(ETH0);
    assert.throws(() => backend.ensureDevices(ETH0), /Cannot create flannel-wg.*modprobe wireguard.*CONFIG_WIREGUARD/);
    const kernel = new MemoryKernel();
    kernel.execute(newLink({ name: "flannel-wg", kind: { kind: "bridge" } }));
    assert.throws(
      () => start({}, {}, kernel).backend.ensureDevices(ETH0),
      /no wireguard device but bridge.*ip link del/,
    );
  });
});

describe("endpointAddress()", () => {
  const attrs = (v4: string, v6?: string): LeaseAttrs => ({
    publicIp: parseIpv4(v4),
    ...(v6 && { publicIpv6: parseIpv6(v6) }),
    backendType: "wireguard",
  });
  const global = { ...ETH0, publicIpv6: parseIpv6("2001:db8:9::1") };
  for (const [what, external, peer, address] of [
    ["IPv4 that is public", global, attrs("203.0.113.2", "2001:db8:9::2"), "203.0.113.2"],
    ["IPv6 where both ends' are public and IPv4 is not", global, attrs("10.0.0.2", "2001:db8:9::2"), "2001:db8:9::2"],
    ["IPv4 where this end's IPv6 is private", ETH0, attrs("10.0.0.2", "2001:db8:9::2"), "10.0.0.2"],
    ["IPv4 where the other end's IPv6 is private", global, attrs("172.16.0.2", "fd00::2"), "172.16.0.2"],
    ["the only one there is", global, attrs("0.0.0.0", "fd00::2"), "fd00::2"],
    ["the other only one", global, attrs("10.0.0.2"), "10.0.0.2"],
  ] as const)
    it(`auto takes ${what}`, () => {
      assert.equal(endpointAddress(peer, external, "auto", 4), address);
    });
});

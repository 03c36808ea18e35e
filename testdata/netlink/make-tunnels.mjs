// Makes tunnels.json: what iproute2 and wg say to the kernel of ipip and WireGuard, and what it answers. Needs a kernel that
// has both, iproute2, wireguard-tools and strace; where the machine's own has not:
//
//   npm run test:other-kernel -- --exec node testdata/netlink/make-tunnels.mjs | sed -n 's/^tunnels.json: //p' | tr -d '\r' | base64 -d | gunzip
import { execFileSync, spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { datagrams } from "./datagrams.mjs";

if (process.argv[2] !== "inside") {
  const run = spawnSync("unshare", ["--net", process.execPath, new URL(import.meta.url).pathname, "inside"], {
    stdio: "inherit",
  });
  process.exit(run.status ?? 1);
}

// wg genkey, wg genkey | wg pubkey, wg genpsk: used nowhere but here.
const PRIVATE_KEY = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";
const PEERS = ["xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=", "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0="];
const PRESHARED_KEY = "FpCyhws9cxwWoV4xELtfJvjJN+zQVRPISllRWgeopVE=";
writeFileSync("/tmp/private", PRIVATE_KEY, { mode: 0o600 });
writeFileSync("/tmp/preshared", PRESHARED_KEY, { mode: 0o600 });

const requests = [];
function request(command) {
  const sent = datagrams(command, "write").filter((hex) => hex.length > 2 * 32);
  requests.push({ command, hex: sent.at(-1) });
}
const replies = [];
function reply(command) {
  const [program, ...args] = command.split(" ");
  const text = execFileSync(program, args, { encoding: "utf8" });
  replies.push({ command, hex: datagrams(command, "read"), says: program === "ip" ? JSON.parse(text) : text });
}

request("ip link add name flannel.ipip index 20 mtu 1480 type ipip local 192.168.100.11 ttl inherit nopmtudisc");
request("ip link add name other.ipip index 22 type ipip local 192.0.2.1 remote 192.0.2.2 ttl 64 tos 2 pmtudisc");
request("ip link add name flannel-wg index 21 mtu 1420 type wireguard");
reply("ip -d -j link show");
requests.push({ command: "genl ctrl get name wireguard", hex: datagrams("wg show flannel-wg dump", "write").find((hex) => hex.startsWith("24000000100")) });
replies.push({
  command: "genl ctrl get name wireguard",
  hex: datagrams("wg show flannel-wg dump", "read").filter((hex) => hex.slice(8, 12) === "1000").slice(0, 1),
});
reply("wg show flannel-wg dump");
request("wg set flannel-wg listen-port 51820 private-key /tmp/private");
request(
  `wg set flannel-wg peer ${PEERS[0]} preshared-key /tmp/preshared endpoint 192.168.100.12:51820 persistent-keepalive 25 allowed-ips 10.244.2.0/24,2001:db8:42:2::/64`,
);
request(`wg set flannel-wg peer ${PEERS[1]} endpoint [fd00:100::d]:51821 allowed-ips 10.244.3.0/24`);
requests.push({ command: "wg show flannel-wg dump", hex: datagrams("wg show flannel-wg dump", "write").at(-1) });
reply("wg show flannel-wg dump");
// So many that the answer takes several messages, and the peer goes on in the next.
const many = Array.from({ length: 600 }, (_, i) => `10.${i >> 8}.${i & 255}.0/24`);
spawnSync("wg", ["set", "flannel-wg", "peer", PEERS[0], "allowed-ips", many.join(",")]);
reply("wg show flannel-wg allowed-ips");
request(`wg set flannel-wg peer ${PEERS[0]} remove`);

const version = [execFileSync("ip", ["-V"], { encoding: "utf8" }), execFileSync("wg", ["--version"], { encoding: "utf8" })];
const head = { madeBy: "testdata/netlink/make-tunnels.mjs", kernel: execFileSync("uname", ["-r"], { encoding: "utf8" }).trim(), version };
const json = JSON.stringify({ ...head, requests, replies }, null, 1);
console.log(`tunnels.json: ${gzipSync(json).toString("base64")}`);

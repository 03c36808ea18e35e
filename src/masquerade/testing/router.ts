import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createUnnamedNetNs, inNs, type NetNs } from "../../kernel/index.ts";

/** Tells each client which address and port it sees. */
const SERVER = `
require("node:net").createServer((socket) => {
  socket.on("error", () => {});
  socket.end(socket.remoteAddress.replace("::ffff:", "") + " " + socket.remotePort);
}).listen(9000, "::", () => console.log("listening"));`;
const CLIENT = `
const [host, localPort] = process.argv.slice(1);
const socket = require("node:net").connect({ host, port: 9000, localPort: Number(localPort) });
socket.setTimeout(10000, () => process.exit(2));
socket.on("error", () => process.exit(1)).pipe(process.stdout);`;

/**
 * A pod (10.5.67.2, 2001:cafe:42:57::2) behind a node that forwards, and the outside behind that: 203.0.113.9 and .10,
 * 2001:db8:9::9 and ::10. The outside knows the way back, so that only the address it sees tells what was masqueraded.
 */
export class Router implements AsyncDisposable {
  readonly node: NetNs = createUnnamedNetNs();
  readonly #pod: NetNs = createUnnamedNetNs();
  readonly #outside: NetNs = createUnnamedNetNs();
  #server: ChildProcess | undefined;

  static async start(): Promise<Router> {
    const router = new Router();
    const { node } = router;
    run(node, `ip link set lo up`);
    for (const [ns, device] of [
      [router.#pod, "pod"],
      [router.#outside, "out"],
    ] as const) {
      run(ns, `ip link set lo up`);
      run(node, `ip link add ${device} type veth peer name eth0 netns /proc/${process.pid}/fd/${ns.fd}`);
      run(node, `ip link set ${device} up`);
      run(ns, `ip link set eth0 up`);
    }
    const addresses: [NetNs, string, string][] = [
      [node, "pod", "10.5.67.1/24 2001:cafe:42:57::1/64"],
      [node, "out", "203.0.113.1/24 2001:db8:9::1/64"],
      [router.#pod, "eth0", "10.5.67.2/24 2001:cafe:42:57::2/64"],
      [router.#outside, "eth0", "203.0.113.9/24 203.0.113.10/24 2001:db8:9::9/64 2001:db8:9::10/64"],
    ];
    for (const [ns, device, list] of addresses)
      for (const address of list.split(" ")) {
        const nodad = address.includes(":") ? ["nodad"] : [];
        run(ns, "ip", "addr", "add", address, "dev", device, ...nodad);
      }
    run(node, "sysctl -qw net.ipv4.ip_forward=1");
    run(node, "sysctl -qw net.ipv6.conf.all.forwarding=1");
    for (const [ns, v4, v6] of [
      [router.#pod, "10.5.67.1", "2001:cafe:42:57::1"],
      [router.#outside, "203.0.113.1", "2001:db8:9::1"],
    ] as const) {
      run(ns, `ip route add default via ${v4}`);
      run(ns, `ip -6 route add default via ${v6}`);
    }
    router.#server = inNs(router.#outside, () =>
      spawn(process.execPath, ["-e", SERVER], { stdio: ["ignore", "pipe", "inherit"] }),
    );
    assert.ok(router.#server.stdout);
    await once(router.#server.stdout, "data");
    return router;
  }

  /** Whom the outside sees when the pod connects to `address`: `203.0.113.1 40000`; undefined: nobody comes. */
  seenFrom(address: string, localPort: number): { address: string; port: number } | undefined {
    const { stdout, status } = inNs(this.#pod, () =>
      spawnSync(process.execPath, ["-e", CLIENT, address, String(localPort)], { encoding: "utf8" }),
    );
    const [seen = "", port] = stdout.split(" ");
    return status === 0 && seen !== "" ? { address: seen, port: Number(port) } : undefined;
  }

  /** Any program on the node; must succeed. */
  run(...command: string[]): string {
    return run(this.node, ...command);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#server && this.#server.exitCode === null) {
      this.#server.kill("SIGKILL");
      await once(this.#server, "exit");
    }
    for (const ns of [this.#pod, this.#outside, this.node]) ns.close();
  }
}

/** @param command words, or one text without quotes in it */
function run(ns: NetNs, ...command: string[]): string {
  const [program = "", ...args] = command.length === 1 ? (command[0] ?? "").split(" ") : command;
  const { status, stdout, stderr, error } = inNs(ns, () => spawnSync(program, args, { encoding: "utf8" }));
  assert.equal(status, 0, `${command.join(" ")}: ${error ?? stderr}`);
  return stdout;
}

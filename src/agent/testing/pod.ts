import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { SubnetEnv } from "../../formats/flannel/index.ts";
import { addToIp, type IpAddress, parsePrefix, prefixFamily } from "../../formats/netip/index.ts";
import { IFA_F_NODAD, newAddress, newLink, newRoute, setLink } from "../../formats/netlink/index.ts";
import { createUnnamedNetNs, EchoSocket, inNs, type NetNs, Rtnl, writeSysctl } from "../../kernel/index.ts";
import { endChild, type TestCluster, type TestNode } from "./cluster.ts";
import type { Ask, Told } from "./pod-process.ts";

const PROGRAM = fileURLToPath(new URL("./pod-process.js", import.meta.url));
const PATIENCE_MS = 10_000;
const identifiers = { last: process.pid & 0xffff };

export type Protocol = "ping" | "tcp" | "udp";

/** A namespace behind the node's cni0, addressed by subnet.env as the CNI plugin would do it, with a process in it. */
export class TestPod implements AsyncDisposable {
  readonly name: string;
  readonly ns: NetNs;
  /** One of each family that the node has a subnet of. */
  readonly addresses: readonly IpAddress[];
  readonly #process: ChildProcess;
  readonly #waiting = new Map<number, (told: Told) => void>();

  private constructor(name: string, ns: NetNs, addresses: readonly IpAddress[], process: ChildProcess) {
    this.name = name;
    this.ns = ns;
    this.addresses = addresses;
    this.#process = process;
    process.on("message", (told: Told) => {
      this.#waiting.get(told.id)?.(told);
      this.#waiting.delete(told.id);
    });
  }

  static async start(cluster: TestCluster, node: TestNode, env: SubnetEnv): Promise<TestPod> {
    const ns = createUnnamedNetNs();
    const addresses = plug(node, ns, env);
    const stdio = ["ignore", "ignore", "inherit", "ipc"] as const;
    const process = cluster.spawn({ ...node, ns }, globalThis.process.execPath, [PROGRAM], { stdio: [...stdio] });
    const failed = once(process, "exit").then(() => Promise.reject(new Error("the pod's process ended at its start")));
    await Promise.race([once(process, "message"), failed]);
    failed.catch(() => {});
    return new TestPod(`the pod on ${node.name}`, ns, addresses, process);
  }

  /** Why it does not reach the address; undefined: it does, there and back. */
  async why(protocol: Protocol, host: IpAddress): Promise<string | undefined> {
    if (protocol === "ping") return ping(this.ns, host);
    const id = nextIdentifier();
    const told = new Promise<Told>((resolve) => this.#waiting.set(id, resolve));
    // More than one segment, and a datagram that nearly fills a frame.
    this.#process.send({ id, protocol, host, bytes: protocol === "tcp" ? 20_000 : 1200 } satisfies Ask);
    return (await told).error;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await endChild(this.#process);
    this.ns.close();
  }
}

/** An ICMP echo request as large as a datagram; undefined when its reply came. */
export async function ping(ns: NetNs, host: IpAddress): Promise<string | undefined> {
  const identifier = nextIdentifier();
  let timer: NodeJS.Timeout | undefined;
  let echo: EchoSocket | undefined;
  try {
    return await new Promise((resolve) => {
      timer = setTimeout(() => resolve("no reply"), PATIENCE_MS);
      echo = inNs(ns, () =>
        EchoSocket.open(host, (reply) => {
          if (reply.identifier === identifier) resolve(undefined);
        }),
      );
      echo.send({ identifier, sequence: 1, payload: new Uint8Array(1200) });
    });
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    clearTimeout(timer);
    echo?.[Symbol.dispose]();
  }
}

function nextIdentifier(): number {
  identifiers.last = (identifiers.last + 1) & 0xffff;
  return identifiers.last;
}

/** `cni0` with each subnet's first address, `eth0` in the pod with the second and a route by the first. */
function plug({ rtnl: host }: TestNode, ns: NetNs, { subnet, ipv6Subnet, mtuBytes }: SubnetEnv): IpAddress[] {
  using pod = Rtnl.open(ns);
  writeSysctl("net/ipv6/conf/default/accept_dad", 0, ns);
  host.execute(newLink({ name: "cni0", kind: { kind: "bridge" }, mtu: mtuBytes, isUp: true }));
  const [peer, mtu] = [{ name: "eth0", netnsFd: ns.fd, mtu: mtuBytes }, mtuBytes];
  host.execute(newLink({ name: "veth0", kind: { kind: "veth", peer }, mtu, isUp: true }));
  const bridge = host.link("cni0")?.index ?? 0;
  host.execute(setLink({ name: "veth0", master: bridge }));
  pod.execute([setLink({ name: "lo", isUp: true }), setLink({ name: "eth0", isUp: true, mtu })]);
  const oif = pod.link("eth0")?.index ?? 0;
  const addresses: IpAddress[] = [];
  for (const prefix of [subnet, ipv6Subnet]) {
    if (!prefix) continue;
    const [gateway, address] = [addToIp(prefix.address, 1), addToIp(prefix.address, 2)];
    const on = (index: number, ip: IpAddress) =>
      newAddress({ index, prefix: parsePrefix(`${ip}/${prefix.length}`), flags: IFA_F_NODAD });
    host.execute(on(bridge, gateway));
    pod.execute([on(oif, address), newRoute({ family: prefixFamily(prefix), gateway, oif })]);
    addresses.push(address);
  }
  return addresses;
}

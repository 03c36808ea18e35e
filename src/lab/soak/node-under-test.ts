// A node of the lab as faults and checks see it. Runs inside the lab.
import { spawnSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { type AgentOptions, DEFAULT_OPTIONS, lookAtNode, type NodeStatus } from "../../agent/index.ts";
import { parseIp } from "../../formats/netip/index.ts";
import { EchoSocket, inNs, NetNs, Rtnl } from "../../kernel/index.ts";
import type { Store } from "../../store/index.ts";
import { LabError } from "../errors.ts";
import type { LabInfo, NodeInfo } from "../messages.ts";
import { childEnvironment } from "../programs.ts";
import { SERVICE_CIDR, STORE_PREFIX } from "../topology.ts";

const PING_EVERY_MS = 25;
const UNREACHED_MS = 10_000;

export class NodeUnderTest {
  readonly name: string;
  /** On the fabric. */
  readonly address: string;
  /** `10.244.1.0/24` */
  readonly subnet: string;
  readonly pid: number;
  readonly ns: NetNs;
  readonly #options: AgentOptions;

  private constructor(node: NodeInfo, subnet: string) {
    this.name = node.name;
    this.address = node.addresses[0] ?? "";
    this.subnet = subnet;
    this.pid = node.pid;
    this.ns = NetNs.ofPid(node.pid);
    this.#options = {
      ...DEFAULT_OPTIONS,
      // As lab/agents.ts starts it.
      nodeName: node.name,
      etcdPrefix: STORE_PREFIX,
      iface: ["eth0"],
      ipMasq: true,
      serviceCidrs: [SERVICE_CIDR],
      ...(node.role === "gateway" && { gatewayEgress: "eth1" }),
      subnetFile: `/proc/${node.pid}/root${DEFAULT_OPTIONS.subnetFile}`,
    };
  }

  /** The nodes that have an agent. */
  static all(info: LabInfo): NodeUnderTest[] {
    return info.nodes.flatMap((node) => (node.agent && node.subnet ? [new NodeUnderTest(node, node.subnet)] : []));
  }

  /** The subnet's first address, which is the peer's gateway on flannel.1. */
  get gateway(): string {
    return this.subnet.split("/")[0] ?? "";
  }

  look(store: Store): Promise<NodeStatus> {
    return lookAtNode({ options: this.#options, store, ns: this.ns, agent: { state: "unknown" } });
  }

  /** Any program in the node's network namespace. Whether it succeeds is the fault's business. */
  run(command: string): { readonly status: number | null; readonly stdout: string; readonly stderr: string } {
    const [program = "", ...args] = command.split(" ");
    return inNs(this.ns, () => spawnSync(program, args, { encoding: "utf8", env: childEnvironment() }));
  }

  /** The same; must succeed. @throws {LabError} */
  must(command: string): string {
    const { status, stdout, stderr } = this.run(command);
    if (status !== 0) throw new LabError(`run "${command}" on ${this.name}`, { reason: stderr.trim() });
    return stdout;
  }

  /**
   * Resolves when the nodes answer each other by their own addresses again. A cable that is plugged in carries packets
   * only when the kernel's linkwatch has seen both ends; and whoever asked for a MAC meanwhile asks but once a second,
   * and drops what waited for the answer. Nothing of that is an agent's to repair. @throws {LabError}
   */
  async untilReached(others: readonly NodeUnderTest[]): Promise<void> {
    await Promise.all(others.filter((other) => other !== this).map((other) => this.#untilAnswers(other)));
  }

  async #untilAnswers(other: NodeUnderTest): Promise<void> {
    let hasAnswered = false;
    const echo = inNs(this.ns, () =>
      EchoSocket.open(parseIp(other.address), () => {
        hasAnswered = true;
      }),
    );
    try {
      for (let sequence = 0; !hasAnswered; sequence++) {
        if (sequence * PING_EVERY_MS > UNREACHED_MS)
          throw new LabError(`reach ${other.name} from ${this.name}`, { reason: "no answer" });
        try {
          echo.send({ identifier: process.pid & 0xffff, sequence, payload: new Uint8Array(8) });
        } catch {
          // No route, no carrier: not yet.
        }
        await sleep(PING_EVERY_MS);
      }
    } finally {
      echo[Symbol.dispose]();
    }
  }

  /** Of flannel.1 as it is now. */
  get vtepMac(): string {
    using rtnl = Rtnl.open(this.ns);
    return rtnl.link("flannel.1")?.address ?? "";
  }
}

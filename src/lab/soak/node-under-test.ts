// A node of the lab as faults and checks see it. Runs inside the lab.
import { spawnSync } from "node:child_process";
import { type AgentOptions, DEFAULT_OPTIONS, lookAtNode, type NodeStatus } from "../../agent/index.ts";
import { inNs, NetNs, Rtnl, watchRtnl } from "../../kernel/index.ts";
import type { Store } from "../../store/index.ts";
import { LabError } from "../errors.ts";
import type { LabInfo, NodeInfo } from "../messages.ts";
import { childEnvironment } from "../programs.ts";
import { SERVICE_CIDR, STORE_PREFIX } from "../topology.ts";
import { until } from "../wait.ts";

const CARRIER_MS = 5000;

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

  /** A cable that is plugged in again carries packets only when the kernel's linkwatch has seen it, up to a second later. */
  async untilCarrier(): Promise<void> {
    await until({
      what: `see eth0 of ${this.name} carry again`,
      deadlineMs: CARRIER_MS,
      isThere: () => /state UP/.test(this.must("ip -o link show dev eth0")),
      subscribe: (onChange) => watchRtnl(this.ns, onChange, onChange),
    });
  }

  /** Of flannel.1 as it is now. */
  get vtepMac(): string {
    using rtnl = Rtnl.open(this.ns);
    return rtnl.link("flannel.1")?.address ?? "";
  }
}

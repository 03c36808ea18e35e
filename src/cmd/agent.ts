import { hostname } from "node:os";
import { Command, InvalidArgumentError, Option } from "commander";
import { type AgentOptions, type AgentStatus, DEFAULT_OPTIONS, runAgent } from "../agent/index.ts";
import {
  type Ipv4Address,
  type Ipv6Address,
  type Prefix,
  parseIpv4,
  parseIpv6,
  parsePrefix,
} from "../formats/netip/index.ts";
import { createLog, LOG_LEVELS, type LogLevel } from "./log.ts";

/** `podpath agent`: options are Flannel's under Flannel's names, then ours. */
export function agentCommand(): Command {
  const command = new Command("agent")
    .description("run the daemon of one node")
    .option("--etcd-endpoints <urls>", "the store, as a comma-separated list", list, DEFAULT_OPTIONS.etcdEndpoints)
    .option("--etcd-prefix <key>", "where Flannel's keys are", DEFAULT_OPTIONS.etcdPrefix)
    .option("--etcd-cafile <file>", "certificate authority of the store, PEM")
    .option("--etcd-certfile <file>", "our certificate, PEM")
    .option("--etcd-keyfile <file>", "its key, PEM")
    .option("--etcd-username <name>", "user of the store")
    .option("--etcd-password <password>", "and the password; better: set FLANNELD_ETCD_PASSWORD")
    .option("--iface <name|address>", "interface to the other nodes; repeatable, the first there is wins", collect, [])
    .option(
      "--public-ip <address>",
      "IPv4 address to tell the other nodes, when it is not the interface's",
      argument(parseIpv4),
    )
    .option("--public-ipv6 <address>", "the same for IPv6", argument(parseIpv6))
    .option("--subnet-file <file>", "what the CNI plugin reads", DEFAULT_OPTIONS.subnetFile)
    .option("--ip-masq [bool]", "masquerade what pods send out of the cluster", bool, DEFAULT_OPTIONS.ipMasq)
    .option(
      "--iptables-forward-rules [bool]",
      "accept forwarding from and to pods",
      bool,
      DEFAULT_OPTIONS.iptablesForwardRules,
    )
    .option("--subnet-lease-renew-margin <minutes>", "renew the lease so long before it ends, 1 to 1439", minutes, 60)
    .option("--cni-socket <path>", "serve CNI calls on this Unix socket")
    .option("--no-gateway", "do not keep the rules of Services")
    .option("--gateway-egress <device>", "masquerade what leaves by this device: this node leads to the outside")
    .option("--service-cidr <prefix>", "range of ClusterIPs; repeatable", collectPrefix, [])
    .option("--node-name <name>", "this node's name", hostname())
    .addOption(new Option("--log-level <level>", "how much to log").choices(LOG_LEVELS).default("info"))
    .addHelpText(
      "after",
      `
When the node is up, one line is written to stdout: {"ready":true,"subnet":"10.244.1.0/24",...}. The log goes to stderr.
SIGUSR2 writes the node's status to stdout. SIGTERM and SIGINT end the daemon and leave the network as it is.`,
    );
  return command.action((flags: Flags) => run(flags));
}

interface Flags extends Omit<AgentOptions, "serviceCidrs" | "resyncMs"> {
  readonly serviceCidr: readonly Prefix[];
  readonly logLevel: LogLevel;
}

async function run({ logLevel, serviceCidr, etcdPassword, ...flags }: Flags): Promise<void> {
  const log = createLog("podpath-agent", logLevel);
  const options: AgentOptions = {
    ...flags,
    etcdPassword: etcdPassword ?? (process.env.FLANNELD_ETCD_PASSWORD || undefined),
    serviceCidrs: serviceCidr,
    resyncMs: DEFAULT_OPTIONS.resyncMs,
  };
  // Whoever read it may be gone.
  process.stdout.on("error", () => {});
  const controller = new AbortController();
  // Once: a second signal ends a process that hangs.
  for (const name of ["SIGTERM", "SIGINT"] as const) process.once(name, () => controller.abort());
  let status: () => AgentStatus | undefined = () => undefined;
  process.on("SIGUSR2", () => say({ status: status() ?? "starting" }));
  const onReady = (report: object, current: () => AgentStatus): void => {
    status = current;
    say(report);
  };
  await runAgent(options, { log, onReady }, controller.signal);
}

function say(report: object): void {
  process.stdout.write(`${JSON.stringify(report)}\n`);
}

function list(text: string): string[] {
  return text.split(",").filter((part) => part !== "");
}

function collect(text: string, before: readonly string[]): string[] {
  return [...before, text];
}

function collectPrefix(text: string, before: readonly Prefix[]): Prefix[] {
  return [...before, argument(parsePrefix)(text)];
}

/** Go's strconv.ParseBool, as Flannel's flags are read. */
function bool(text: string): boolean {
  if (/^(1|t|true)$/i.test(text)) return true;
  if (/^(0|f|false)$/i.test(text)) return false;
  throw new InvalidArgumentError("want true or false");
}

function minutes(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= 1439) return value;
  throw new InvalidArgumentError("want whole minutes from 1 to 1439, less than the lease's 24 hours");
}

function argument<T extends Ipv4Address | Ipv6Address | Prefix>(parse: (text: string) => T): (text: string) => T {
  return (text) => {
    try {
      return parse(text);
    } catch (error) {
      throw new InvalidArgumentError(error instanceof Error ? error.message : String(error));
    }
  };
}

// Every flag of `podpath agent`, which is `flanneld`: Flannel's under Flannel's names, then ours.
import { type AgentOptions, DEFAULT_OPTIONS, type MasqueradeMode } from "../agent/index.ts";
import { maskPrefix, type Prefix, parseIp, parseIpv4, parseIpv6, parsePrefix } from "../formats/netip/index.ts";
import { addEnvironment, bool, type Flag, goInt, goRegex, parseArguments, UsageError } from "./go-flags.ts";
import { LOG_LEVELS, type LogLevel } from "./log.ts";

export const ENV_PREFIX = "FLANNELD";

/** Flannel's command line is a contract with what starts it, kube mode's part too. */
const KUBE_FLAGS: readonly Flag[] = [
  bool("kube-subnet-mgr", "kube mode: not there yet, and refused"),
  text("kube-api-url", "url", "kube mode's; ignored"),
  text("kubeconfig-file", "file", "kube mode's; ignored"),
  text("kube-annotation-prefix", "prefix", "kube mode's; ignored"),
  text("net-config-path", "file", "kube mode's; ignored"),
  bool("set-node-network-unavailable", "kube mode's; ignored"),
];

const IGNORED_FLAGS: readonly Flag[] = [
  text("vmodule", "pattern=n,...", "Go's logging; ignored"),
  text("log_backtrace_at", "file:line", "Go's logging; ignored"),
];

const MASQUERADE_MODES = ["nft", "iptables"] as const satisfies readonly MasqueradeMode[];

const D = DEFAULT_OPTIONS;

export const AGENT_FLAGS: readonly Flag[] = [
  list("etcd-endpoints", "urls", `the store, as a comma-separated list (${D.etcdEndpoints})`),
  text("etcd-prefix", "key", `where Flannel's keys are (${D.etcdPrefix})`),
  text("etcd-cafile", "file", "certificate authority of the store, PEM"),
  text("etcd-certfile", "file", "our certificate, PEM"),
  text("etcd-keyfile", "file", "its key, PEM"),
  text("etcd-username", "name", "user of the store"),
  text("etcd-password", "password", "and the password; every user sees it here, so better: FLANNELD_ETCD_PASSWORD"),
  repeatable("iface", "name|address", "interface to the other nodes; repeatable, the first there is wins"),
  repeatable("iface-regex", "regex", "the same by what its address or else its name matches; after --iface", goRegex),
  checked("iface-can-reach", "address", "the interface that leads there; after --iface-regex", parseIp),
  checked("public-ip", "address", "address to tell the other nodes, when it is not the interface's", parseIpv4),
  checked("public-ipv6", "address", "the same for IPv6", parseIpv6),
  text("subnet-file", "file", `what the CNI plugin reads (${D.subnetFile})`),
  bool("ip-masq", "masquerade what pods send out of the cluster"),
  bool("ip-masq-fully-random-disable", "leave the ports of masqueraded packets as they are, where they are free"),
  prefixes(
    "non-masquerade-cidr",
    "prefixes",
    "where pods go with their own addresses; a comma-separated list, repeatable",
  ),
  bool("iptables-forward-rules", "accept forwarding from and to pods (true)"),
  checked(
    "masquerade-mode",
    MASQUERADE_MODES.join("|"),
    "rules in nftables tables of our own, or in iptables' (nft)",
    mode,
  ),
  number("iptables-resync", "seconds", "iptables mode: look at the rules so often, at the latest (5)", 1, 86_400),
  number("subnet-lease-renew-margin", "minutes", "renew the lease so long before it ends, 1 to 1439 (60)", 1, 1439),
  checked("healthz-ip", "address", `where /healthz, /readyz and /metrics are served (${D.healthzIp})`, parseIp),
  number("healthz-port", "port", "and on which port; 0: nowhere (0)", 0, 65535),
  bool("ip-blackhole-route", "drop what goes to an address of this node's subnet that no pod has"),
  number("v", "level", "1 and more: log what helps with debugging"),
  bool("version", "print the version to stderr and end"),
  bool("help", "print this and end"),
  bool("h", "the same"),
  ...IGNORED_FLAGS,
  ...KUBE_FLAGS,
  text("cni-socket", "path", "serve CNI calls on this Unix socket"),
  bool("gateway", "keep the rules of Services (true)"),
  text("gateway-egress", "device", "masquerade what leaves by this device: this node leads to the outside"),
  repeatable("service-cidr", "prefix", "range of ClusterIPs; repeatable", parsePrefix),
  text("node-name", "name", "this node's name (the host's)"),
  checked("log-level", LOG_LEVELS.join("|"), "how much to log (info)", logLevel),
];

export interface AgentCommandLine {
  readonly options: AgentOptions;
  readonly logLevel: LogLevel;
  /** Flags that were given and do nothing. */
  readonly ignored: readonly string[];
}

/** What to run, or what else is asked for; the environment is not looked at for that. @throws {UsageError} */
export function parseAgentFlags(
  args: readonly string[],
  variables: Readonly<Record<string, string | undefined>>,
  hostname: string,
): AgentCommandLine | "help" | "version" {
  const values = parseArguments(AGENT_FLAGS, args);
  if (values.get("help") || values.get("h")) return "help";
  if (values.get("version")) return "version";
  addEnvironment(values, AGENT_FLAGS, ENV_PREFIX, variables);
  return readAgentFlags(values, hostname);
}

/** The values of a command line and an environment, by flag. @throws {UsageError} */
export function agentFlagsOf(
  args: readonly string[],
  variables: Readonly<Record<string, string | undefined>>,
): Map<string, unknown> {
  const values = parseArguments(AGENT_FLAGS, args);
  addEnvironment(values, AGENT_FLAGS, ENV_PREFIX, variables);
  return values;
}

/** @throws {UsageError} */
export function readAgentFlags(values: ReadonlyMap<string, unknown>, hostname: string): AgentCommandLine {
  if (values.get("kube-subnet-mgr"))
    throw new UsageError(
      "--kube-subnet-mgr: kube mode is not there yet; leases are kept in etcd, or in podpath store (--etcd-endpoints)",
    );
  const given = <T>(name: string): T | undefined => values.get(name) as T | undefined;
  // Flannel's default of a text is "", which means the same as leaving it out.
  const words = (name: string): string | undefined => given<string>(name) || undefined;
  return {
    options: {
      etcdEndpoints: given("etcd-endpoints") ?? D.etcdEndpoints,
      etcdPrefix: words("etcd-prefix") ?? D.etcdPrefix,
      etcdCafile: words("etcd-cafile"),
      etcdCertfile: words("etcd-certfile"),
      etcdKeyfile: words("etcd-keyfile"),
      etcdUsername: words("etcd-username"),
      etcdPassword: words("etcd-password"),
      iface: given("iface") ?? D.iface,
      ifaceRegex: given("iface-regex") ?? D.ifaceRegex,
      ifaceCanReach: given("iface-can-reach"),
      publicIp: given("public-ip"),
      publicIpv6: given("public-ipv6"),
      subnetFile: words("subnet-file") ?? D.subnetFile,
      ipMasq: given("ip-masq") ?? D.ipMasq,
      ipMasqRandomFully: !given("ip-masq-fully-random-disable"),
      masqueradeMode: given("masquerade-mode") ?? D.masqueradeMode,
      iptablesResync: given("iptables-resync") ?? D.iptablesResync,
      nonMasqueradeCidrs: given("non-masquerade-cidr") ?? D.nonMasqueradeCidrs,
      iptablesForwardRules: given("iptables-forward-rules") ?? D.iptablesForwardRules,
      ipBlackholeRoute: given("ip-blackhole-route") ?? D.ipBlackholeRoute,
      subnetLeaseRenewMargin: given("subnet-lease-renew-margin") ?? D.subnetLeaseRenewMargin,
      cniSocket: words("cni-socket"),
      gateway: given("gateway") ?? D.gateway,
      gatewayEgress: words("gateway-egress"),
      serviceCidrs: given("service-cidr") ?? D.serviceCidrs,
      healthzIp: given("healthz-ip") ?? D.healthzIp,
      healthzPort: given("healthz-port") ?? D.healthzPort,
      nodeName: words("node-name") ?? hostname,
      resyncMs: D.resyncMs,
    },
    logLevel: given("log-level") ?? ((given<number>("v") ?? 0) > 0 ? "debug" : "info"),
    ignored: [...IGNORED_FLAGS, ...KUBE_FLAGS].map((flag) => flag.name).filter((name) => values.has(name)),
  };
}

function text(name: string, value: string, help: string): Flag<string> {
  return { name, value, help, parse: (given) => given };
}

function number(name: string, value: string, help: string, least = -(2 ** 31), most = 2 ** 31): Flag<number> {
  const parse = (given: string): number => {
    const n = goInt(given);
    if (n < least || n > most) throw new UsageError(`${given} is not in the range ${least} to ${most}`);
    return n;
  };
  return { name, value, help, parse };
}

function list(name: string, value: string, help: string): Flag<readonly string[]> {
  return { name, value, help, parse: (given) => given.split(",").filter((part) => part !== "") };
}

/** A list in one value, and more of them in further values. Host bits do not count, as in iptables. */
function prefixes(name: string, value: string, help: string): Flag<readonly Prefix[]> {
  const parse = (given: string, before: readonly Prefix[] = []): Prefix[] => [
    ...before,
    ...given
      .split(",")
      .filter((part) => part.trim() !== "")
      .map((part) => maskPrefix(parsePrefix(part.trim()))),
  ];
  return { name, value, help, parse };
}

function repeatable<T = string>(
  name: string,
  value: string,
  help: string,
  parse: (text: string) => T = (given) => given as T,
): Flag<readonly T[]> {
  return { name, value, help, parse: (given, before = []) => [...before, parse(given)] };
}

/** Empty is as good as not given. */
function checked<T>(name: string, value: string, help: string, parse: (text: string) => T): Flag<T | undefined> {
  return { name, value, help, parse: (given) => (given === "" ? undefined : parse(given)) };
}

function mode(given: string): MasqueradeMode {
  const found = MASQUERADE_MODES.find((candidate) => candidate === given);
  if (!found) throw new UsageError(`${JSON.stringify(given)} is none of ${MASQUERADE_MODES.join(", ")}`);
  return found;
}

function logLevel(given: string): LogLevel {
  const level = LOG_LEVELS.find((candidate) => candidate === given);
  if (!level) throw new UsageError(`${JSON.stringify(given)} is none of ${LOG_LEVELS.join(", ")}`);
  return level;
}

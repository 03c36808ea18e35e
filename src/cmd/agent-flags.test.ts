import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parsePrefix } from "../formats/netip/index.ts";
import { AGENT_FLAGS, type AgentCommandLine, parseAgentFlags } from "./agent-flags.ts";
import { UsageError } from "./go-flags.ts";

function parse(args: readonly string[], env: Record<string, string> = {}): AgentCommandLine {
  const parsed = parseAgentFlags(args, env, "node1");
  assert.ok(typeof parsed === "object");
  return parsed;
}

const options = (...given: Parameters<typeof parse>): AgentCommandLine["options"] => parse(...given).options;

/** Flannel's flags, and what each does to the options. */
const EFFECTS: readonly [arg: string, effect: Record<string, unknown>][] = [
  ["etcd-endpoints=http://a:1,http://b:2", { etcdEndpoints: ["http://a:1", "http://b:2"] }],
  ["etcd-prefix=/other", { etcdPrefix: "/other" }],
  ["etcd-keyfile=k.pem", { etcdKeyfile: "k.pem" }],
  ["etcd-certfile=c.pem", { etcdCertfile: "c.pem" }],
  ["etcd-cafile=ca.pem", { etcdCafile: "ca.pem" }],
  ["etcd-username=u", { etcdUsername: "u" }],
  ["etcd-password=p=w", { etcdPassword: "p=w" }],
  ["subnet-lease-renew-margin=1439", { subnetLeaseRenewMargin: 1439 }],
  ["iface=eth1", { iface: ["eth1"] }],
  ["iface-regex=^eth[0-9]$", { ifaceRegex: [/^eth[0-9]$/] }],
  ["iface-regex=(?i)ETH", { ifaceRegex: [/ETH/i] }],
  ["iface-can-reach=192.0.2.9", { ifaceCanReach: "192.0.2.9" }],
  ["public-ip=192.0.2.1", { publicIp: "192.0.2.1" }],
  ["public-ipv6=2001:DB8::1", { publicIpv6: "2001:db8::1" }],
  ["subnet-file=/x", { subnetFile: "/x" }],
  ["ip-masq", { ipMasq: true }],
  ["ip-masq=T", { ipMasq: true }],
  ["ip-masq-fully-random-disable", { ipMasqRandomFully: false }],
  ["iptables-forward-rules=0", { iptablesForwardRules: false }],
  ["iptables-resync=60", { iptablesResync: 60 }],
  ["masquerade-mode=iptables", { masqueradeMode: "iptables" }],
  [
    "non-masquerade-cidr=10.1.2.3/8,2001:db8::/32",
    { nonMasqueradeCidrs: ["10.0.0.0/8", "2001:db8::/32"].map(parsePrefix) },
  ],
  ["ip-blackhole-route", { ipBlackholeRoute: true }],
  ["healthz-ip=::1", { healthzIp: "::1" }],
  ["healthz-port=8081", { healthzPort: 8081 }],
  ["gateway=false", { gateway: false }],
];

describe("the command line of the agent", () => {
  it("has Flannel's defaults", () => {
    const { etcdEndpoints, etcdPrefix, subnetFile, subnetLeaseRenewMargin, nodeName, ...rest } = options([]);
    assert.deepEqual(etcdEndpoints, ["http://127.0.0.1:4001", "http://127.0.0.1:2379"]);
    assert.deepEqual([etcdPrefix, subnetFile], ["/coreos.com/network", "/run/flannel/subnet.env"]);
    assert.deepEqual([subnetLeaseRenewMargin, nodeName], [60, "node1"]);
    assert.deepEqual([rest.masqueradeMode, rest.iptablesResync, rest.nonMasqueradeCidrs], ["nft", 5, []]);
    assert.deepEqual([rest.ipMasq, rest.ipMasqRandomFully, rest.iptablesForwardRules], [false, true, true]);
    assert.deepEqual(rest.iface, []);
  });

  for (const [arg, effect] of EFFECTS)
    it(`--${arg} has the one effect it should have, in every form and from the environment`, () => {
      const expected = { ...options([]), ...effect };
      const [name = "", ...rest] = arg.split("=");
      const value = rest.join("=");
      assert.deepEqual(options([`--${arg}`]), expected);
      assert.deepEqual(options([`-${arg}`]), expected);
      const isBool = typeof Object.values(effect)[0] === "boolean";
      if (!isBool) assert.deepEqual(options([`-${name}`, value]), expected);
      const variable = `FLANNELD_${name.toUpperCase().replaceAll("-", "_")}`;
      assert.deepEqual(options([], { [variable]: value || "true" }), expected);
    });

  it("takes the command line before the environment, and an empty variable for none", () => {
    assert.equal(options(["--etcd-prefix=/a"], { FLANNELD_ETCD_PREFIX: "/b" }).etcdPrefix, "/a");
    assert.equal(options([], { FLANNELD_ETCD_PREFIX: "" }).etcdPrefix, "/coreos.com/network");
    assert.equal(options(["-ip-masq=false"], { FLANNELD_IP_MASQ: "true" }).ipMasq, false);
  });

  it("collects what may be repeated, takes the last of the others, and one value from a variable", () => {
    assert.deepEqual(options(["-iface", "a", "--iface=b", "-etcd-prefix=/1", "-etcd-prefix=/2"]).iface, ["a", "b"]);
    assert.equal(options(["-etcd-prefix=/1", "-etcd-prefix=/2"]).etcdPrefix, "/2");
    assert.deepEqual(options([], { FLANNELD_IFACE: "a,b" }).iface, ["a,b"]);
    const cidrs = ["-non-masquerade-cidr=10.0.0.0/8,172.16.0.0/12", "-non-masquerade-cidr", "192.168.0.0/16"];
    assert.equal(options(cidrs).nonMasqueradeCidrs.length, 3);
    assert.deepEqual(options(["-iface=c"], { FLANNELD_IFACE: "a" }).iface, ["c"]);
  });

  it("takes numbers as Go writes them, and a value that begins with a dash", () => {
    for (const [given, number] of [
      ["0x3c", 60],
      ["074", 60],
      ["0b11", 3],
      ["+5", 5],
    ] as const)
      assert.equal(options([`-subnet-lease-renew-margin=${given}`]).subnetLeaseRenewMargin, number);
    assert.equal(options(["-etcd-password", "-secret"]).etcdPassword, "-secret");
  });

  for (const [what, args, message] of [
    ["an unknown flag", ["--subnet-dir=/x"], /unknown flag --subnet-dir/],
    ["a word that stands alone", ["-ip-masq", "false"], /unexpected argument "false"/],
    ["three dashes", ["---ip-masq"], /unexpected argument/],
    ["a name that is empty", ["-=x"], /unexpected argument/],
    ["a value left out", ["-iface"], /--iface needs a value/],
    ["a truth value that is none", ["-ip-masq=yes"], /--ip-masq: "yes"/],
    ["a margin of 0", ["--subnet-lease-renew-margin=0"], /--subnet-lease-renew-margin: 0 .*1 to 1439/],
    ["a margin of a whole day", ["--subnet-lease-renew-margin=1440"], /1440 .*1 to 1439/],
    ["a margin that is no number", ["--subnet-lease-renew-margin=60m"], /no whole number/],
    ["an address that is none", ["--public-ip=10.0.0.256"], /--public-ip: .*10\.0\.0\.256/],
    ["a regular expression that is none", ["--iface-regex=eth["], /--iface-regex: .*eth\[/],
    ["a port out of range", ["--healthz-port=65536"], /--healthz-port: 65536 .*0 to 65535/],
    ["a period of 0", ["--iptables-resync=0"], /--iptables-resync: 0 .*1 to 86400/],
    ["a mode that is none", ["--masquerade-mode=ipvs"], /--masquerade-mode: "ipvs" is none of nft, iptables/],
    ["a range that is none", ["--non-masquerade-cidr=10.0.0.0/8,10.0.0.1"], /--non-masquerade-cidr: .*10\.0\.0\.1/],
    ["kube mode", ["--kube-subnet-mgr", "--kubeconfig-file=/k"], /kube mode is not there yet/],
  ] as const)
    it(`refuses ${what}`, () => {
      assert.throws(
        () => parse(args),
        (error) => error instanceof UsageError && message.test(error.message),
      );
    });

  it("names the variable when it is what is wrong", () => {
    assert.throws(
      () => parse([], { FLANNELD_SUBNET_LEASE_RENEW_MARGIN: "0" }),
      /FLANNELD_SUBNET_LEASE_RENEW_MARGIN: 0/,
    );
    assert.throws(() => parse([], { FLANNELD_KUBE_SUBNET_MGR: "true" }), /kube mode is not there yet/);
  });

  it("never repeats a password in an error", () => {
    assert.throws(
      () => parse(["--etcd-password=hunter2", "--etcd-password", "hunter3", "--nonsense=hunter4"]),
      (error) => error instanceof UsageError && !/hunter/.test(error.message),
    );
  });

  it("tells which flags of Flannel's do nothing here", () => {
    const args = ["-kube-api-url=x", "-vmodule=a=1", "-set-node-network-unavailable=false"];
    const expected = ["kube-api-url", "set-node-network-unavailable", "vmodule"];
    assert.deepEqual([...parse(args).ignored].sort(), expected);
    assert.deepEqual(parse(["-ip-masq"]).ignored, []);
  });

  it("-v makes the log tell more, unless --log-level says how much", () => {
    const levels = [["-v=2"], ["-v", "0"], ["-v=2", "--log-level=warn"]].map((args) => parse(args).logLevel);
    assert.deepEqual(levels, ["debug", "info", "warn"]);
  });

  it("answers --version and -h, and to no variable", () => {
    const wrongEnv = { FLANNELD_IP_MASQ: "perhaps" };
    for (const args of [["-ip-masq", "-version"], ["--version=true"], ["-version", "--subnet-file=/x"]])
      assert.equal(parseAgentFlags(args, wrongEnv, "node1"), "version");
    for (const args of [["-h"], ["--help", "-version"]]) assert.equal(parseAgentFlags(args, wrongEnv, "node1"), "help");
    assert.equal(options(["--version=false", "-etcd-password", "-h"]).etcdPassword, "-h");
    assert.deepEqual(options([], { FLANNELD_VERSION: "true", FLANNELD_HELP: "true" }), options([]));
  });

  it("has no flag twice", () => {
    assert.equal(new Set(AGENT_FLAGS.map((flag) => flag.name)).size, AGENT_FLAGS.length);
  });
});

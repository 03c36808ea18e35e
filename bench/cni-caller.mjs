// The container runtime of the cni benchmark: in a node's namespaces it makes pod namespaces and executes chains of
// plugins, each with the result of the one before, as libcni does.
import { existsSync, readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { createNetNs, deleteNetNs, inNs, NetNs, Rtnl } from "../dist/kernel/index.js";
import { runProgram, runTogether } from "./run-program.mjs";
import { answerLines } from "./worker.mjs";

const PATH = "/usr/sbin:/usr/bin:/sbin:/bin";
const CONF_DIR = "/etc/cni/net.d";
const SUBNET_FILE = "/run/flannel/subnet.env";
const NAMESPACES = "/run/netns";
const STATE = "/var/lib/cni";
const SETTLE_MS = 20_000;

let made = 0;
/** By pod, what the last ADD's chain gave. */
const results = new Map();

const podName = (pod) => `bench-${process.pid}-${pod}`;
const podPath = (pod) => `${NAMESPACES}/${podName(pod)}`;

/** Makes namespaces until there are `pods`; tells what is on this node. */
function prepare({ pods, pluginDir }) {
  for (; made < pods; made++) createNetNs(podPath(made));
  const list = readdirSync(CONF_DIR)
    .filter((name) => name.endsWith(".conflist"))
    .sort()[0];
  if (!list) throw new Error(`${CONF_DIR} has no .conflist`);
  return {
    subnetEnv: readFileSync(SUBNET_FILE, "utf8"),
    conflist: JSON.parse(readFileSync(`${CONF_DIR}/${list}`, "utf8")),
    plugins: readdirSync(pluginDir).map((name) => ({ name, bytes: statSync(`${pluginDir}/${name}`).size })),
  };
}

/** The programs of one pod's chain, one after the other; `done` is told the sum of their times, or what failed. */
function chain({ pluginDir, command, pod, confs }, done) {
  const order = command === "DEL" ? [...confs].reverse() : [...confs];
  let prevResult = command === "DEL" ? results.get(pod) : undefined;
  let conf;
  let milliseconds = 0;
  return (last) => {
    if (last) {
      milliseconds += last.milliseconds;
      if (last.exitCode !== 0) {
        done({ error: `${conf.type} ${command} exited ${last.exitCode}: ${last.stdout.trim()} ${last.stderr.trim()}` });
        return undefined;
      }
      if (command === "ADD") prevResult = JSON.parse(last.stdout);
    }
    conf = order.shift();
    if (!conf) {
      if (command === "ADD") results.set(pod, prevResult);
      done({ milliseconds });
      return undefined;
    }
    const env = {
      PATH,
      CNI_COMMAND: command,
      CNI_PATH: pluginDir,
      CNI_CONTAINERID: podName(pod),
      CNI_NETNS: podPath(pod),
      CNI_IFNAME: "eth0",
      CNI_ARGS: "",
    };
    return {
      path: `${pluginDir}/${conf.type}`,
      env,
      stdin: JSON.stringify(prevResult ? { ...conf, prevResult } : conf),
    };
  };
}

/** One pod's. */
function call(question) {
  let outcome;
  const next = chain(question, (how) => {
    outcome = how;
  });
  for (let program = next(); program; ) program = next(runProgram(program.path, program.env, program.stdin));
  if (outcome.error) throw new Error(outcome.error);
  if (question.command === "ADD" && !results.get(question.pod)?.ips?.[0]?.address)
    throw new Error(`${question.confs[0].type} ADD gave no address: ${JSON.stringify(results.get(question.pod))}`);
  return outcome;
}

/** Many pods' at once: `pods` are pairs of a pod and its configurations. */
function together({ pluginDir, command, pods, atOnce }) {
  const [each, failures] = [[], []];
  const sequences = pods.map(({ pod, confs }) =>
    chain({ pluginDir, command, pod, confs }, ({ milliseconds, error }) =>
      error ? failures.push(error) : each.push(milliseconds),
    ),
  );
  const begin = process.hrtime.bigint();
  runTogether(sequences, atOnce);
  const milliseconds = Number(process.hrtime.bigint() - begin) / 1e6;
  const addresses = new Set(pods.map(({ pod }) => results.get(pod)?.ips?.[0]?.address));
  if (command === "ADD" && failures.length === 0 && addresses.size !== pods.length)
    failures.push(`${pods.length} pods have ${addresses.size} addresses`);
  return { milliseconds, each, failures };
}

/** Waits until the kernel has taken eth0 away: a DEL may answer before that, and must not slow down its successor. */
async function settle({ pods }) {
  const deadline = Date.now() + SETTLE_MS;
  for (const pod of pods) {
    const ns = NetNs.open(podPath(pod));
    try {
      while (inNs(ns, () => readFileSync("/proc/net/dev", "utf8")).split("\n").length > 4) {
        if (Date.now() > deadline)
          throw new Error(`a device is still in ${podName(pod)} ${SETTLE_MS / 1000} s after DEL`);
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    } finally {
      ns.close();
    }
  }
}

/** What there is of this benchmark's on the node, once the devices on their way out are gone. */
async function census() {
  const rtnl = Rtnl.open();
  try {
    const ports = () => rtnl.links().filter(({ name, kind }) => name.startsWith("veth") && kind?.kind === "veth");
    const isOurs = (file) => readFileSync(file, "utf8").includes(`bench-${process.pid}-`);
    const inFolder = (path) => (existsSync(path) ? readdirSync(path, { withFileTypes: true }) : []);
    const addresses = inFolder(`${STATE}/networks`).flatMap(({ name }) =>
      inFolder(`${STATE}/networks/${name}`).filter(
        (file) => /^\d+\./.test(file.name) && isOurs(`${file.path}/${file.name}`),
      ),
    );
    const scratch = inFolder(`${STATE}/flannel`).filter(({ name }) => name.startsWith(`bench-${process.pid}-`));
    const deadline = Date.now() + 1000;
    let links = ports().length;
    for (; links > addresses.length && Date.now() < deadline; links = ports().length)
      await new Promise((resolve) => setTimeout(resolve, 5));
    return { links, addresses: addresses.length, scratch: scratch.length };
  } finally {
    rtnl[Symbol.dispose]();
  }
}

/** Resident memory of the podpath agent of this node: the process of that name in our network namespace. */
function agentMemory() {
  const own = readlinkSync("/proc/self/ns/net");
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name)))
    try {
      const argv = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
      if (!argv.includes("agent") || readlinkSync(`/proc/${pid}/ns/net`) !== own) continue;
      return { kibibytes: Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) };
    } catch {
      // It ended meanwhile.
    }
  return {};
}

await answerLines({
  prepare,
  call,
  together,
  settle,
  census,
  agentMemory,
  floorTogether: ({ count, atOnce }) => {
    const once = () => (last) => (last ? undefined : { path: "/bin/true", env: { PATH }, stdin: "" });
    const begin = process.hrtime.bigint();
    runTogether(Array.from({ length: count }, once), atOnce);
    return { milliseconds: Number(process.hrtime.bigint() - begin) / 1e6 };
  },
  floor: () => ({ milliseconds: runProgram("/bin/true", { PATH }, "").milliseconds }),
  version: ({ pluginDir, type }) => {
    const env = { PATH, CNI_COMMAND: "VERSION" };
    return { milliseconds: runProgram(`${pluginDir}/${type}`, env, "").milliseconds };
  },
});
for (let pod = 0; pod < made; pod++) deleteNetNs(podPath(pod));

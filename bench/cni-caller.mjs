// The container runtime of the cni benchmark: in a node's namespaces it makes pod namespaces and executes plugins.
import { readdirSync, readFileSync, statSync } from "node:fs";
import { createNetNs, deleteNetNs, inNs, NetNs } from "../dist/kernel/index.js";
import { runProgram } from "./run-program.mjs";
import { answerLines } from "./worker.mjs";

const PATH = "/usr/sbin:/usr/bin:/sbin:/bin";
const CONF_DIR = "/etc/cni/net.d";
const SUBNET_FILE = "/run/flannel/subnet.env";
const NAMESPACES = "/run/netns";
const made = [];

const podName = (pod) => `bench-${process.pid}-${pod}`;
const podPath = (pod) => `${NAMESPACES}/${podName(pod)}`;

/** Makes `pods` namespaces; tells what is on this node. */
function prepare({ pods, pluginDir }) {
  for (let pod = 0; pod < pods; pod++) {
    createNetNs(podPath(pod));
    made.push(podPath(pod));
  }
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

function call({ pluginDir, plugin, command, pod, conf }) {
  const env = {
    PATH,
    CNI_COMMAND: command,
    CNI_PATH: pluginDir,
    CNI_CONTAINERID: podName(pod),
    CNI_NETNS: podPath(pod),
    CNI_IFNAME: "eth0",
    CNI_ARGS: "",
  };
  const { milliseconds, exitCode, stdout, stderr } = runProgram(`${pluginDir}/${plugin}`, env, JSON.stringify(conf));
  if (exitCode !== 0) throw new Error(`${plugin} ${command} exited ${exitCode}: ${stdout.trim()} ${stderr.trim()}`);
  return { milliseconds, result: stdout.trim() === "" ? undefined : JSON.parse(stdout) };
}

/** Waits until the kernel has taken eth0 away: a DEL may answer before that, and must not slow down its successor. */
async function settle({ pod }) {
  const deadline = Date.now() + 5000;
  const ns = NetNs.open(podPath(pod));
  try {
    while (inNs(ns, () => readFileSync("/proc/net/dev", "utf8")).includes("eth0:")) {
      if (Date.now() > deadline) throw new Error(`eth0 is still in ${podName(pod)} 5 s after DEL`);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  } finally {
    ns.close();
  }
}

await answerLines({
  prepare,
  call,
  settle,
  floor: () => ({ milliseconds: runProgram("/bin/true", { PATH }, "").milliseconds }),
});
for (const path of made) deleteNetNs(path);

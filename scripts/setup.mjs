// What `npm start` and `npm test` need and a fresh machine lacks: the npm dependencies, the build, and a few Debian
// packages. Says what it does, does nothing twice, and goes on without a package that cannot be had.
import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "./build.mjs";
import { buildFlanneld } from "./flanneld.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));

/** program -> the Debian package that has it, and what for */
const PROGRAMS = {
  run: [["nft", "nftables", "rules (libnftables)"]],
  test: [
    ["nft", "nftables", "rules (libnftables)"],
    ["iptables-legacy", "iptables", "the rules of Flannel's iptables mode"],
    ["ip", "iproute2", "the peer our kernel state is compared with"],
    ["iptables", "iptables", "Flannel's daemon wants it, with nftables too"],
    ["etcd", "etcd-server", "the real store"],
    ["etcdctl", "etcd-client", "the real store's client"],
    ["tcpdump", "tcpdump", "reads our pcapng"],
    ["tshark", "tshark", "reads our pcapng"],
    ["openssl", "openssl", "certificates for the store's tests"],
    ["conntrack", "conntrack", "the peer our connection tracking is compared with"],
    ["busybox", "busybox-static", "ping"],
    ["setpriv", "util-linux", "tests without root"],
    ["promtool", "prometheus", "checks our metrics"],
    ["faketime", "faketime", "clocks that jump"],
    ["qemu-aarch64-static", "qemu-user-static", "runs the CNI client made for aarch64"],
    ["/usr/lib/cni/bridge", "containernetworking-plugins", "the reference CNI plugins"],
    ["strace", "strace", "kills a CNI call at each of its steps"],
    ["containerd", "containerd", "a container runtime that runs our CNI plugins"],
    ["runc", "runc", "another, by its hooks"],
    ["podman", "podman", "another"],
  ],
  soak: [
    ["nft", "nftables", "rules (libnftables)"],
    ["ip", "iproute2", "does the harm"],
    ["faketime", "faketime", "clocks that jump"],
  ],
  bench: [
    ["nft", "nftables", "rules (libnftables)"],
    ["iperf3", "iperf3", "throughput"],
    ["/usr/lib/cni/bridge", "containernetworking-plugins", "the reference CNI plugins"],
  ],
};

/** @param {"run" | "test" | "soak" | "bench"} purpose @returns {number} 0, or the exit code of what failed */
export function setUp(purpose) {
  requireNode();
  const steps = [installDependencies, () => installPackages(PROGRAMS[purpose]), build];
  if (purpose === "test") steps.push(buildFlanneld);
  for (const step of steps) {
    const status = step();
    if (status !== 0) return status;
  }
  return 0;
}

function requireNode() {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major < 20 || (major === 20 && minor < 20))
    console.error(`podpath: this is Node ${process.versions.node}; it is made and tested for Node >= 20.20`);
}

function installDependencies() {
  const lock = readFileSync(join(root, "package-lock.json"), "utf8");
  const stamp = join(root, "node_modules", ".podpath-lock");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === lock) return 0;
  console.log("set-up: npm ci (the dependencies of package-lock.json)");
  const npm = spawnSync("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], { cwd: root, stdio: "inherit" });
  if (npm.status === 0) writeFileSync(stamp, lock);
  else console.error("podpath: npm ci failed; the reason stands above");
  return npm.status ?? 1;
}

function installPackages(programs) {
  const missing = programs.filter(([program]) => !isInstalled(program));
  if (missing.length === 0) return 0;
  const packages = [...new Set(missing.map(([, name]) => name))];
  for (const [program, name, use] of missing)
    console.log(`set-up: ${program} is missing (Debian package ${name}: ${use})`);
  if (process.getuid?.() !== 0 || !isInstalled("apt-get")) {
    console.log(`set-up: going on without; to have them: apt-get install ${packages.join(" ")}`);
    return 0;
  }
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const lock = ["-o", "DPkg::Lock::Timeout=300"];
  // Other clones may be setting up at this moment: apt waits for its lock, and the first update serves both.
  const install = () =>
    spawnSync("apt-get", [...lock, "install", "-y", "-qq", "--no-install-recommends", ...packages], {
      env,
      stdio: ["ignore", "ignore", "inherit"],
    }).status;
  console.log(`set-up: apt-get install ${packages.join(" ")}`);
  if (!aptListsAreFresh())
    spawnSync("apt-get", [...lock, "update", "-qq"], { env, stdio: ["ignore", "ignore", "inherit"] });
  if (install() !== 0) {
    spawnSync("apt-get", [...lock, "update", "-qq"], { env, stdio: ["ignore", "ignore", "inherit"] });
    if (install() !== 0) console.log(`set-up: could not install ${packages.join(", ")}; going on without`);
  }
  return 0;
}

function aptListsAreFresh() {
  try {
    return Date.now() - statSync("/var/cache/apt/pkgcache.bin").mtimeMs < 24 * 3600_000;
  } catch {
    return false;
  }
}

function isInstalled(program) {
  const places = program.startsWith("/")
    ? [program]
    : [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/sbin"].map((dir) => join(dir, program));
  return places.some((place) => {
    try {
      accessSync(place, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

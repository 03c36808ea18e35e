// Runs tests on Debian's kernel in a virtual machine, for what the kernel of this machine lacks (WireGuard, ipip):
//
//   npm run test:other-kernel -- dist/backend dist/agent/tunnels.netns.test.js
//
// or, after --exec, any other command. The machine's own files are the guest's, read-only; what the guest writes is
// forgotten. Downloads the kernel (70 MB) once, with apt-get. Needs qemu-system-x86 and busybox-static.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "./build.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const cache = join(root, "node_modules", ".podpath-kernel");

/** What the guest needs to find its root, then what the tests need. */
const MODULES = {
  root: ["virtio_pci", "9pnet_virtio", "9p", "overlay"],
  // crc32c_generic: what libcrc32c, under nf_tables, asks the crypto API for.
  tests: [
    "veth",
    "bridge",
    // Flannel's daemon does not start without.
    "br_netfilter",
    "vxlan",
    "tun",
    "dummy",
    "ipip",
    "wireguard",
    "crc32c_generic",
    "nft_chain_nat",
    "nft_masq",
  ],
};

process.exitCode = await main(process.argv.slice(2));

async function main(args) {
  const missing = ["qemu-system-x86_64", "busybox"].filter((program) => spawnSync("which", [program]).status !== 0);
  if (process.arch !== "x64" || missing.length > 0) {
    console.error(
      `podpath: cannot run another kernel: needs x86-64 and ${missing.join(", ")} (apt-get install qemu-system-x86 busybox-static)`,
    );
    return 1;
  }
  const status = build() || fetchKernel();
  if (status !== 0) return status;
  if (args[0] === "--exec") return runGuest(args.slice(1));
  return runGuest(["node", "--enable-source-maps", "--test", ...args.flatMap(testsIn)]);
}

/** The test files at a path, as scripts/test.mjs finds them. */
function testsIn(path) {
  if (!statSync(join(root, path), { throwIfNoEntry: false })?.isDirectory()) return [path];
  return readdirSync(join(root, path), { recursive: true, encoding: "utf8" })
    .filter((name) => /\.test\.m?js$/.test(name))
    .sort()
    .map((name) => join(path, name));
}

/** Unpacks the newest kernel that Debian's archive has for this release, without installing it. */
function fetchKernel() {
  if (existsSync(join(cache, "initramfs"))) return 0;

  rmSync(cache, { recursive: true, force: true });
  mkdirSync(cache, { recursive: true });
  const depends = spawnSync("apt-cache", ["depends", "linux-image-amd64"], { encoding: "utf8" }).stdout;
  const name = /Depends: (linux-image-[\w.-]+)/.exec(depends)?.[1];
  if (!name) {
    console.error("podpath: apt-cache knows no linux-image-amd64; run apt-get update");
    return 1;
  }
  console.log(`other kernel: apt-get download ${name}`);
  const download = spawnSync("apt-get", ["download", "-qq", name], {
    cwd: cache,
    stdio: ["ignore", "ignore", "inherit"],
  });
  const deb = readdirSync(cache).find((file) => file.endsWith(".deb"));
  if (download.status !== 0 || !deb) return download.status || 1;
  spawnSync("dpkg-deb", ["-x", deb, "."], { cwd: cache });
  rmSync(join(cache, deb));
  const version = readdirSync(join(cache, "lib/modules"))[0];
  spawnSync("busybox", ["depmod", "-b", cache, version]);
  writeFileSync(join(cache, "initramfs"), initramfs(version));
  return 0;
}

/** A busybox, the modules, and an init that changes over to the machine's own files. */
function initramfs(version) {
  const { order, files } = modulesOf(version);
  const init = `#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /low /up /root
/bin/busybox mount -t proc proc /proc
for module in ${order.join(" ")}; do /bin/busybox insmod /modules/$module || echo "no $module"; done
/bin/busybox mount -t tmpfs -o size=2g tmpfs /up
/bin/busybox mkdir /up/files /up/work
/bin/busybox mount -t 9p -o trans=virtio,version=9p2000.L,cache=loose,msize=512000,ro machine /low
/bin/busybox mount -t overlay -o lowerdir=/low,upperdir=/up/files,workdir=/up/work overlay /root
/bin/busybox mount -t proc proc /root/proc
/bin/busybox mount -t sysfs sysfs /root/sys
/bin/busybox mount -t devtmpfs dev /root/dev
/bin/busybox mkdir -p /root/dev/shm /root/dev/pts
/bin/busybox mount -t devpts devpts /root/dev/pts
/bin/busybox mount -t tmpfs tmpfs /root/tmp
/bin/busybox mount -t tmpfs tmpfs /root/run
/bin/busybox ip link set lo up
# What else is asked for is loaded as it is on any machine.
/bin/busybox mkdir -p /root/lib/modules
/bin/busybox mount --bind "/root${join(cache, "lib/modules")}" /root/lib/modules
test -e /root/sbin/modprobe || /bin/busybox ln -s "$(/bin/busybox chroot /root /bin/sh -c 'command -v busybox')" /root/sbin/modprobe
# No tunl0 in each new namespace, which would take the indices that tests choose.
echo 2 > /proc/sys/net/core/fb_tunnels_only_for_init_net
/bin/busybox chroot /root /bin/sh -c "$(/bin/busybox sed 's/.*podpath=//' /proc/cmdline | /bin/busybox base64 -d)"
echo "podpath-status $?"
/bin/busybox poweroff -f
`;
  const busybox = readFileSync(spawnSync("which", ["busybox"], { encoding: "utf8" }).stdout.trim());
  return cpio([
    { name: "bin", mode: 0o40755, data: Buffer.alloc(0) },
    { name: "modules", mode: 0o40755, data: Buffer.alloc(0) },
    { name: "bin/busybox", mode: 0o100755, data: busybox },
    { name: "init", mode: 0o100755, data: Buffer.from(init) },
    ...files.map(({ name, path }) => ({ name: `modules/${name}`, mode: 0o100644, data: readFileSync(path) })),
  ]);
}

/** MODULES and what they depend on, each after what it needs. */
function modulesOf(version) {
  const dir = join(cache, "lib/modules", version);
  const depends = new Map(
    readFileSync(join(dir, "modules.dep"), "utf8")
      .split("\n")
      .filter((line) => line.includes(":"))
      .map((line) => [
        line.slice(0, line.indexOf(":")),
        line
          .slice(line.indexOf(":") + 1)
          .trim()
          .split(" ")
          .filter(Boolean),
      ]),
  );
  const nameOf = (path) => path.slice(path.lastIndexOf("/") + 1);
  const chosen = new Map();
  const add = (path) => {
    if (chosen.has(nameOf(path))) return;
    for (const needed of depends.get(path) ?? []) add(needed);
    chosen.set(nameOf(path), join(dir, path));
  };
  for (const module of [...MODULES.root, ...MODULES.tests]) {
    const path = [...depends.keys()].find((candidate) => nameOf(candidate) === `${module}.ko`);
    if (path) add(path);
  }
  return { order: [...chosen.keys()], files: [...chosen].map(([name, path]) => ({ name, path })) };
}

/** The "newc" archive that the kernel unpacks (Documentation/driver-api/early-userspace/buffer-format.rst). */
function cpio(entries) {
  const pad = (length) => Buffer.alloc((4 - (length % 4)) % 4);
  const chunks = [...entries, { name: "TRAILER!!!", mode: 0, data: Buffer.alloc(0) }].flatMap(
    ({ name, mode, data }, i) => {
      const fields = [i + 1, mode, 0, 0, 1, 0, data.length, 0, 0, 0, 0, name.length + 1, 0];
      const head = Buffer.from(`070701${fields.map((field) => field.toString(16).padStart(8, "0")).join("")}${name}\0`);
      return [head, pad(head.length), data, pad(data.length)];
    },
  );
  return Buffer.concat(chunks);
}

/** Runs the command in the guest and gives its status. */
async function runGuest(command) {
  const words = command.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
  const script = `cd '${root}' && export PATH='${process.env.PATH}' HOME=/root PODPATH_TEST_PATIENCE=6 && ${words}`;
  const kernel = readdirSync(join(cache, "boot")).find((file) => file.startsWith("vmlinuz"));
  const guest = spawn(
    "qemu-system-x86_64",
    [
      // No KVM: where it is nested it may hang, and half a minute is not worth finding that out.
      ...["-M", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "3072"],
      ...["-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio"],
      ...["-kernel", join(cache, "boot", kernel), "-initrd", join(cache, "initramfs")],
      ...["-append", `console=ttyS0 quiet loglevel=3 panic=-1 podpath=${Buffer.from(script).toString("base64")}`],
      ...["-fsdev", "local,id=machine,path=/,security_model=none,readonly=on,multidevs=remap"],
      ...["-device", "virtio-9p-pci,fsdev=machine,mount_tag=machine"],
    ],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  process.once("exit", () => guest.kill());
  let status = 1;
  let tail = "";
  guest.stdout.setEncoding("utf8").on("data", (text) => {
    process.stdout.write(text);
    tail = (tail + text).slice(-200);
    status = Number(/podpath-status (\d+)/.exec(tail)?.[1] ?? status);
  });
  await new Promise((resolve) => guest.once("close", resolve));
  return status;
}

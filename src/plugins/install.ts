import { chmodSync, copyFileSync, existsSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { CniVersion } from "../formats/cni/index.ts";
import { ffiLibraryFile, makeDirectories } from "../kernel/index.ts";
import { type ClientArch, clientElf } from "./client/client.ts";
import { PLUGINS } from "./registry.ts";

export interface InstallOptions {
  /** Where the runtime looks for plugins, e.g. /opt/cni/bin. */
  readonly binDir: string;
  /** Where the runtime looks for network configurations, e.g. /etc/cni/net.d; left alone when absent. */
  readonly confDir?: string;
  /** The agent's CNI socket, baked into the client. */
  readonly socketPath: string;
  /** The one-file Node plugin; default: the one the build made, dist/cni/podpath-cni.cjs. */
  readonly fallback?: string;
  /** Of the network configuration; default 1.0.0, the newest that runtimes without STATUS take. */
  readonly cniVersion?: CniVersion;
}

const CLIENT_ARCH: { readonly [nodeArch in string]?: ClientArch } = { x64: "x86-64", arm64: "aarch64" };
const FALLBACK = "podpath-cni.cjs";
/** Beside the plugins: the Node fallback and what it loads. */
export const FALLBACK_FOLDER = "podpath-cni";
export const CONFLIST_FILE = "10-flannel.conflist";

/**
 * Writes the client under each plugin's name, the Node fallback in a folder beside them, and 10-flannel.conflist. Each
 * file appears whole or not at all; the configuration, which makes the runtime use the rest, comes last.
 */
export function installCni(options: InstallOptions): void {
  const { binDir, confDir, socketPath, cniVersion = "1.0.0" } = options;
  const fallback = options.fallback ?? fileURLToPath(new URL(`../cni/${FALLBACK}`, import.meta.url));
  if (!existsSync(fallback))
    throw new Error(`Cannot install the CNI plugins into ${binDir}: ${fallback} is missing; run npm run build`);
  const folder = join(binDir, FALLBACK_FOLDER);
  makeDirectories(folder);
  atomically(join(folder, "koffi.node"), 0o644, (path) => copyFileSync(ffiLibraryFile(), path));
  const fallbackPath = join(folder, FALLBACK);
  atomically(fallbackPath, 0o644, (path) => copyFileSync(fallback, path));
  const executable = clientFor(socketPath, fallbackPath);
  for (const name of PLUGINS.keys()) atomically(join(binDir, name), 0o755, (path) => writeFileSync(path, executable));
  if (confDir === undefined) return;
  makeDirectories(confDir);
  atomically(join(confDir, CONFLIST_FILE), 0o644, (path) => writeFileSync(path, conflist(cniVersion)));
}

/** On a machine the assembler does not know each plugin is the Node program itself, which finds its name in argv[1]. */
function clientFor(socketPath: string, fallbackPath: string): Uint8Array | string {
  const arch = CLIENT_ARCH[process.arch];
  if (arch) return clientElf({ arch, socketPath, fallbackPath });
  return `#!${process.execPath}\nrequire(${JSON.stringify(fallbackPath)});\n`;
}

/** Flannel's own network configuration (its kube-flannel-cfg). */
export function conflist(cniVersion: CniVersion): string {
  const plugins = [
    { type: "flannel", delegate: { hairpinMode: true, isDefaultGateway: true } },
    { type: "portmap", capabilities: { portMappings: true } },
  ];
  return `${JSON.stringify({ name: "cbr0", cniVersion, plugins }, undefined, 2)}\n`;
}

function atomically(path: string, mode: number, write: (path: string) => void): void {
  const temporary = join(dirname(path), `.${process.pid}.podpath-new`);
  try {
    write(temporary);
    chmodSync(temporary, mode); // whatever the umask is
    renameSync(temporary, path);
  } catch (e) {
    rmSync(temporary, { force: true });
    throw e;
  }
}

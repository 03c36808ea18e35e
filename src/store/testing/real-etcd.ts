import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ContractServer } from "./contract-server.ts";
import { ServerProcess } from "./server-process.ts";

/** Why tests with a real etcd are skipped; false: they are not. */
export function whyNoEtcd(...programs: readonly ("etcd" | "etcdctl" | "openssl")[]): string | false {
  for (const program of ["etcd", ...programs])
    if (spawnSync(program, [program === "openssl" ? "version" : "--version"]).error)
      return `no ${program} on this machine (Debian: apt-get install etcd-server etcd-client openssl)`;
  return false;
}

/** Why tests with etcdctl are skipped; false: they are not. */
export function whyNoEtcdctl(): string | false {
  return spawnSync("etcdctl", ["--help"]).error
    ? "no etcdctl on this machine (Debian: apt-get install etcd-client)"
    : false;
}

/** A real etcd of one member on loopback, with a directory of its own; `args`: more of etcd's flags. */
export async function startRealEtcd(
  scheme: "http" | "https" = "http",
  args: readonly string[] = [],
): Promise<ContractServer> {
  const directory = mkdtempSync(join(tmpdir(), "podpath-etcd-"));
  const [client, peer] = [await freePort(), await freePort()];
  const endpoint = `${scheme}://127.0.0.1:${client}`;
  const peerUrl = `http://127.0.0.1:${peer}`;
  const flags = [
    ["--data-dir", join(directory, "data")],
    ["--listen-client-urls", endpoint],
    ["--advertise-client-urls", endpoint],
    ["--listen-peer-urls", peerUrl],
    ["--initial-advertise-peer-urls", peerUrl],
    ["--initial-cluster", `default=${peerUrl}`],
    ["--logger", "zap"],
  ].flat();
  // etcd wants to be told that it may run where its makers do not test it.
  const env = { ...process.env, ETCD_UNSUPPORTED_ARCH: process.arch === "arm64" ? "arm64" : "" };
  const start = async (): Promise<ServerProcess> => {
    const server = new ServerProcess("etcd", [...flags, ...args], env);
    await server.waitFor(/serving client (traffic|requests)/);
    return server;
  };
  let running = await start();
  return {
    endpoints: [endpoint],
    stop: () => running.stop(),
    restart: async () => {
      await running.stop("SIGKILL");
      running = await start();
    },
    async [Symbol.asyncDispose]() {
      await running.stop("SIGKILL");
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" && address ? address.port : 0;
}

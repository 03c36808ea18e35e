import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { ContractServer } from "./contract-server.ts";
import { ServerProcess } from "./server-process.ts";

const PROGRAM = fileURLToPath(new URL("./embedded-process.js", import.meta.url));

/** The embedded server in a process of its own, on a Unix socket: an address that stays the same over a restart. */
export async function startEmbeddedProcess(env: NodeJS.ProcessEnv = {}): Promise<ContractServer & { dataDir: string }> {
  const directory = mkdtempSync(join(tmpdir(), "podpath-store-"));
  const dataDir = join(directory, "data");
  const socket = join(directory, "socket");
  const start = async (): Promise<ServerProcess> => {
    const server = new ServerProcess(process.execPath, [PROGRAM, dataDir, `unix:${socket}`], {
      ...process.env,
      ...env,
    });
    await server.waitFor(/^serving /);
    return server;
  };
  let running = await start();
  return {
    dataDir,
    endpoints: [`unix://${socket}`],
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

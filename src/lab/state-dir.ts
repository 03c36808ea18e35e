// Where a lab keeps its sockets, logs and data: one folder a name, of one user.
import { chmodSync, existsSync, readdirSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { makeDirectories } from "../kernel/index.ts";
import { LabError, reasonOf } from "./errors.ts";

export interface StateDir {
  readonly name: string;
  readonly path: string;
  readonly controlSocket: string;
  readonly storeSocket: string;
  readonly logs: string;
  readonly data: string;
}

/** $PODPATH_STATE, else /run/podpath as root, else below $XDG_RUNTIME_DIR or ~/.cache. */
export function stateRoot(env: NodeJS.ProcessEnv = process.env): string {
  if (env.PODPATH_STATE) return resolve(env.PODPATH_STATE);
  if (process.getuid?.() === 0) return "/run/podpath";
  return join(env.XDG_RUNTIME_DIR ?? join(homedir(), ".cache"), "podpath");
}

/** @throws {LabError} unless `name` can be a folder and the socket's path fits into a sockaddr_un */
export function stateDir(name: string, root: string = stateRoot()): StateDir {
  if (!/^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$/.test(name))
    throw new LabError(`call a lab ${JSON.stringify(name)}`, {
      reason: "want 1 to 32 of a-z, 0-9 and -, beginning and ending with a letter or digit",
    });
  const path = join(root, name);
  const dir = {
    name,
    path,
    controlSocket: join(path, "control.sock"),
    storeSocket: join(path, "store.sock"),
    logs: join(path, "logs"),
    data: join(path, "data"),
  };
  if (Buffer.byteLength(dir.controlSocket) > 107)
    throw new LabError(`keep a lab in ${path}`, {
      reason: "a Unix socket's path has at most 107 bytes",
      advice: "set PODPATH_STATE to a shorter folder",
    });
  return dir;
}

/** Makes the folder, for this user only. @throws {LabError} */
export function makeStateDir(dir: StateDir): void {
  try {
    makeDirectories(dir.path, 0o700);
    chmodSync(dir.path, 0o700);
  } catch (cause) {
    throw new LabError(`keep a lab in ${dir.path}`, {
      reason: reasonOf(cause),
      advice: "PODPATH_STATE names another folder",
      cause,
    });
  }
}

/** Names that have a folder with a control socket, alive or not. */
export function labNames(root: string = stateRoot()): string[] {
  if (!existsSync(root)) return [];
  return readdirSync(root)
    .filter((name) => existsSync(join(root, name, "control.sock")))
    .sort();
}

// A process that does nothing but hold namespaces open: a node's, or a pod's (there it is what runtimes call the sandbox
// or pause process).
import { type ChildProcess, spawn } from "node:child_process";
import { NetNs, unshareArgv } from "../kernel/index.ts";
import { LabError } from "./errors.ts";
import { childEnvironment } from "./programs.ts";

export interface Anchor {
  readonly name: string;
  readonly pid: number;
  readonly ns: NetNs;
  /** The root of its mount namespace, seen from here. */
  readonly root: string;
  end(): void;
}

/** Runs `script` in new namespaces and stays there. `enter` is put before the command: where to start from. */
export async function startAnchor(
  name: string,
  script: string,
  options: { readonly mount: boolean; readonly enter?: (argv: string[]) => string[] },
): Promise<Anchor> {
  // The shell ends up as the sleep, so that this one process, whose PID we know, is the one that lives on.
  const hold = `set -e\n${script}\necho ready\nexec sleep infinity`;
  const kinds = options.mount ? (["mount", "net", "uts", "ipc"] as const) : (["net", "uts", "ipc"] as const);
  const argv = unshareArgv(kinds, ["sh", "-c", hold]);
  const [program = "", ...args] = options.enter ? options.enter(argv) : argv;
  const child = spawn(program, args, { cwd: "/", env: childEnvironment(), stdio: ["ignore", "pipe", "pipe"] });
  await untilReady(name, child);
  const pid = child.pid ?? 0;
  const ns = NetNs.ofPid(pid);
  return {
    name,
    pid,
    ns,
    root: `/proc/${pid}/root`,
    end: () => {
      ns.close();
      child.kill("SIGKILL");
    },
  };
}

function untilReady(name: string, child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let errors = "";
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      errors += text;
    });
    const fail = (reason: string): void => reject(new LabError(`make the namespaces of ${name}`, { reason }));
    child.once("error", (error) => fail(error.message));
    child.once("close", () => fail(errors.trim() || "the process in them ended"));
    child.stdout?.once("data", () => resolve());
  });
}

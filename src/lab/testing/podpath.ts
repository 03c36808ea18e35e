// Runs the executable as people do.
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const EXECUTABLE = fileURLToPath(new URL("../../cmd/podpath.js", import.meta.url));

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly child: ChildProcess;
  readonly finished: Promise<Finished>;
  /** Resolves when the output so far matches; rejects when it ends without. */
  said(pattern: RegExp): Promise<string>;
}

export interface PodpathOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Put before the command: who runs it. */
  readonly as?: readonly string[];
  readonly cwd?: string;
}

export function startPodpath(args: readonly string[], options: PodpathOptions = {}): Running {
  const [program = "", ...rest] = [...(options.as ?? []), process.execPath, EXECUTABLE, ...args];
  const child = spawn(program, rest, {
    env: { ...process.env, ...options.env },
    cwd: options.cwd ?? "/",
    stdio: ["ignore", "pipe", "pipe"],
  });
  const output = { stdout: "", stderr: "" };
  const listeners = new Set<() => void>();
  for (const name of ["stdout", "stderr"] as const)
    child[name].setEncoding("utf8").on("data", (text: string) => {
      output[name] += text;
      for (const listener of listeners) listener();
    });
  const finished = new Promise<Finished>((resolve) => {
    child.once("close", (code) => resolve({ code, ...output }));
  });
  const said = (pattern: RegExp): Promise<string> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        if (!pattern.test(output.stdout)) return;
        listeners.delete(look);
        resolve(output.stdout);
      };
      listeners.add(look);
      look();
      void finished.then(({ stderr }) => reject(new Error(`it ended without ${pattern}: ${output.stdout}${stderr}`)));
    });
  return { child, finished, said };
}

export async function podpath(args: readonly string[], options: PodpathOptions = {}): Promise<Finished> {
  return await startPodpath(args, options).finished;
}

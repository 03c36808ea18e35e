import { spawn } from "node:child_process";
import { accessSync, constants, statSync } from "node:fs";
import { join } from "node:path";
import {
  CNI_ERROR,
  CniError,
  type CniVersion,
  EMPTY_RESULT,
  type Environment,
  parseError,
  parseJsonObject,
  parseResult,
  type Result,
} from "../formats/cni/index.ts";

export interface Execution {
  readonly type: string;
  readonly path: readonly string[];
  readonly env: Environment;
  readonly stdin: string;
  readonly cniVersion: CniVersion;
  readonly log: (line: string) => void;
}

const TIMEOUT_MS = 60_000;
/** Of stdout and stderr together. A result is some kilobytes; whoever writes more has gone astray. */
const MAX_OUTPUT_BYTES = 8 * 1024 * 1024;

/** Executes somebody else's plugin, as libcni does: found by name in CNI_PATH, the whole environment handed on. */
export async function executePlugin(execution: Execution): Promise<Result> {
  const { type, log } = execution;
  const file = findPlugin(type, execution.path);
  const { code, signal, stdout, stderr } = await run(file, execution);
  for (const line of stderr.split("\n")) if (line !== "") log(`${type}: ${line}`);
  if (code === 0) {
    // An empty answer, or null, is an empty result: that is what DEL and CHECK give.
    if (/^\s*(null)?\s*$/.test(stdout)) return EMPTY_RESULT;
    return parseResult(parseJsonObject(stdout, `the result of ${file}`), execution.cniVersion);
  }
  const error = parseError(stdout);
  if (error) throw error;
  const how = signal ? `was ended by ${signal}` : `exited with ${code}`;
  throw new CniError(CNI_ERROR.internal, `${file} ${how} and said no error: ${(stdout || stderr).trim() || "nothing"}`);
}

/** A regular executable file of that name, in the first folder that has one. */
function findPlugin(type: string, path: readonly string[]): string {
  if (!/^[^/\0]+$/.test(type))
    throw new CniError(
      CNI_ERROR.invalidNetworkConfig,
      `invalid plugin type ${JSON.stringify(type)}: want a file's name`,
    );
  for (const file of path.map((folder) => join(folder, type)))
    try {
      if (!statSync(file).isFile()) continue;
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      // The next folder may have it.
    }
  throw new CniError(
    CNI_ERROR.internal,
    `failed to find plugin ${JSON.stringify(type)} in path [${path.join(" ")}]: install it there, or extend CNI_PATH`,
  );
}

interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

function run(file: string, { env, stdin }: Execution): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, [], {
      env: { ...process.env, ...env },
      stdio: "pipe",
      timeout: TIMEOUT_MS,
      killSignal: "SIGKILL",
    });
    const [stdout, stderr]: [Buffer[], Buffer[]] = [[], []];
    let bytes = 0;
    const collect = (parts: Buffer[], data: Buffer): void => {
      bytes += data.length;
      if (bytes <= MAX_OUTPUT_BYTES) {
        parts.push(data);
        return;
      }
      child.kill("SIGKILL");
      // Its children may hold the pipes open and go on writing.
      child.stdout.destroy();
      child.stderr.destroy();
    };
    child.stdout.on("data", (data: Buffer) => collect(stdout, data));
    child.stderr.on("data", (data: Buffer) => collect(stderr, data));
    child.on("error", (cause) =>
      reject(new CniError(CNI_ERROR.io, `Cannot execute plugin ${file}: ${cause.message}`, { cause })),
    );
    child.on("close", (code, signal) => {
      if (bytes <= MAX_OUTPUT_BYTES)
        resolve({ code, signal, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() });
      else
        reject(
          new CniError(
            CNI_ERROR.io,
            `Cannot read the answer of plugin ${file}: it wrote more than ${MAX_OUTPUT_BYTES} bytes and was ended`,
          ),
        );
    });
    child.stdin.on("error", () => {}); // it may end without reading its configuration
    child.stdin.end(stdin);
  });
}

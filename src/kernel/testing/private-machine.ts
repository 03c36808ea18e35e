// A machine for a test alone: network, mount and PID namespaces in which nothing else happens, so that "nothing is left" can be
// compared to the last byte while other tests run.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { processId, unshareArgv } from "../index.ts";

const INSIDE = "PODPATH_PRIVATE_MACHINE";

/** Why this machine cannot run a lab; undefined when it can. */
export function whyNot(): string | undefined {
  const { status, stderr } = spawnSync("unshare", ["--mount", "--net", "--pid", "--fork", "--mount-proc", "true"], {
    encoding: "utf8",
  });
  if (process.getuid?.() !== 0) return "needs root; the rootless lab has a test of its own";
  return status === 0 ? undefined : `no namespaces here: ${stderr?.trim()}`;
}

/** Runs the tests that `define` defines, in a process of their own in the private machine. */
export function inPrivateMachine(url: string, define: () => void): void {
  if (process.env[INSIDE]) {
    define();
    return;
  }
  const reason = whyNot();
  if (reason) console.log(`${fileURLToPath(url)}: skipped: ${reason}`);
  test("in a machine of its own", { skip: reason ?? false }, async () => {
    // A shell as process 1: it reaps what a test leaves behind, as a machine's init does.
    const script = 'mount -t tmpfs tmpfs /run && mount -t sysfs sysfs /sys && ip link set lo up && "$@" & wait $!';
    const argv = ["sh", "-c", script, "init", process.execPath, "--enable-source-maps", fileURLToPath(url)];
    const { NODE_TEST_CONTEXT: _outer, ...env } = process.env;
    const [program = "", ...args] = unshareArgv(["mount", "net", "pid"], argv);
    const child = spawn(program, args, { env: { ...env, [INSIDE]: "1" }, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text: string) => {
        output += text;
      });
    const [code] = (await once(child, "close")) as [number | null];
    assert.equal(code, 0, output);
  });
}

/** What must be the same before a lab and after it. */
export interface MachineState {
  readonly links: string;
  readonly namespaces: string;
  readonly ruleset: string;
  readonly mounts: string;
  readonly processes: readonly string[];
}

export function machineState(): MachineState {
  return {
    links: read("ip", ["-br", "link"]),
    namespaces: read("ip", ["netns"]),
    ruleset: read("nft", ["list", "ruleset"]),
    mounts: readFileSync("/proc/self/mountinfo", "utf8"),
    processes: processes(),
  };
}

/** All processes but this one and those that have ended, or are about to: they have no command line any more. */
function processes(): string[] {
  return readdirSync("/proc")
    .map(Number)
    .filter((pid) => pid > 0 && pid !== process.pid && processId(pid) !== undefined)
    .flatMap((pid) => {
      const command = commandLine(pid);
      return command === "" ? [] : [`${pid} ${command}`];
    })
    .sort();
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
  } catch {
    return "";
  }
}

function read(program: string, args: readonly string[]): string {
  const { stdout, stderr, status } = spawnSync(program, args, { encoding: "utf8" });
  assert.equal(status, 0, stderr);
  return stdout;
}

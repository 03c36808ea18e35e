import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chownSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { inPrivateMachine, machineState } from "../kernel/testing/private-machine.ts";
import type { LabInfo } from "./messages.ts";
import type { ScenarioResult } from "./scenarios/messages.ts";
import { type Finished, podpath } from "./testing/podpath.ts";

interface Scenarios {
  readonly scenarios: readonly ScenarioResult[];
}

const NOBODY = 65534;
const AS_NOBODY = ["setpriv", "--reuid", String(NOBODY), "--regid", String(NOBODY), "--clear-groups"];
const CONTAINER = fileURLToPath(new URL("../cmd/container.js", import.meta.url));

/** Why nobody cannot run a lab here; undefined when they can. */
function whyNot(): string | undefined {
  const attempt = (argv: readonly string[]): string | undefined => {
    const [program = "", ...args] = [...AS_NOBODY, ...argv];
    const { status, stderr, error } = spawnSync(program, args, { encoding: "utf8", cwd: "/" });
    return status === 0 ? undefined : (error?.message ?? stderr.trim()) || "failed";
  };
  const namespaces = attempt(["unshare", "--user", "--map-root-user", "--net", "--mount", "true"]);
  if (namespaces !== undefined) return `no user namespaces here: ${namespaces}`;
  const reading = attempt([process.execPath, "--check", CONTAINER]);
  return reading === undefined ? undefined : `nobody cannot read ${CONTAINER}`;
}

inPrivateMachine(import.meta.url, () => {
  const reason = whyNot();
  test("a lab without root is a whole lab, and leaves nothing", { skip: reason ?? false }, async () => {
    const home = mkdtempSync(join(tmpdir(), "podpath-rootless-"));
    chownSync(home, NOBODY, NOBODY);
    const options = { as: AS_NOBODY, env: { PODPATH_STATE: home, HOME: home } };
    const lab = async (...args: string[]): Promise<Finished> => {
      const finished = await podpath(["lab", ...args], options);
      assert.equal(finished.code, 0, finished.stdout + finished.stderr);
      return finished;
    };
    try {
      const before = machineState();
      await lab("up");
      const info = JSON.parse((await lab("ps", "--json")).stdout) as LabInfo;
      assert.equal(info.rootless, true);
      const { scenarios } = JSON.parse((await lab("scenarios", "--json")).stdout) as Scenarios;
      assert.equal(scenarios.length, 18);
      for (const { ok, number, protocol, unavailable } of scenarios) {
        assert.ok(ok, `${number} ${protocol}`);
        assert.match(unavailable.join(), /tracepoints|tracefs/, "what cannot be had is named");
      }
      assert.equal((await lab("exec", "pod-a", "-c", "c1", "--", "id", "-u")).stdout, "0\n");
      assert.deepEqual({ ...machineState(), processes: [] }, { ...before, processes: [] });
      await lab("down");
      assert.deepEqual(machineState(), before);
    } finally {
      await podpath(["lab", "down"], options);
      rmSync(home, { recursive: true, force: true });
    }
  });
});

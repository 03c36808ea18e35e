import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, watch } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { isPrivileged } from "../../kernel/index.ts";
import { until } from "../wait.ts";
import { RunningContainer } from "./container.ts";

const skip = isPrivileged() ? false : "needs root, to make a container's namespaces";

test("a container's PATH is for its command, not for the programs that make the container", { skip }, async () => {
  const folder = mkdtempSync(join(tmpdir(), "podpath-container-"));
  const logFile = join(folder, "log");
  try {
    const env = [
      { name: "PATH", value: "/nowhere" },
      { name: "GREETING", value: "good day" },
    ];
    const running = await RunningContainer.start({
      container: {
        name: "c",
        env,
        ports: [],
        command: ["/bin/sh", "-c"],
        args: ['echo "$PATH, $GREETING, $HOSTNAME"'],
      },
      podPid: process.pid,
      podName: "pod",
      logFile,
      defaultCommand: [],
      programFolder: "/",
    });
    const said = (): string => readFileSync(logFile, "utf8");
    await until({
      what: "read what the container says",
      deadlineMs: 10_000,
      isThere: () => said() !== "",
      subscribe: (onChange) => {
        const watcher = watch(logFile, onChange);
        return { [Symbol.dispose]: () => watcher.close() };
      },
    });
    assert.equal(said(), "/nowhere, good day, pod\n");
    running.end();
  } finally {
    rmSync(folder, { recursive: true });
  }
});

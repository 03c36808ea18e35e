// The logs of a lab's processes: a file each, in the state folder, where they outlive the process.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { LabError } from "./errors.ts";
import type { StateDir } from "./state-dir.ts";

/** What a process said last, for an error: pino's JSON lines are reduced to their message. */
export function lastLine(file: string): string | undefined {
  if (!existsSync(file)) return undefined;
  const line = readFileSync(file, "utf8").trim().split("\n").at(-1);
  if (!line) return undefined;
  try {
    const record: unknown = JSON.parse(line);
    if (typeof record !== "object" || record === null) return line;
    const { msg, err } = record as { msg?: unknown; err?: { message?: unknown } };
    return [msg, err?.message].filter((text) => typeof text === "string").join(": ") || line;
  } catch {
    return line;
  }
}

/** `agent/node1`, `store`, `pod-a/c0`, `lab` -> the file. @throws {LabError} listing what there is */
export function logFile(dir: StateDir, name: string): string {
  if (name === "lab") return join(dir.path, "supervisor.log");
  const [first = "", second, third] = name.replace(/^pod\//, "").split("/");
  const candidates = [
    `${name.replaceAll("/", "-")}.log`,
    `agent-${name}.log`,
    `default_${first}_${second ?? "c0"}.log`,
    `${first}_${second}_${third ?? "c0"}.log`,
  ];
  const found = candidates.map((candidate) => join(dir.logs, candidate)).find((file) => existsSync(file));
  if (found !== undefined) return found;
  throw new LabError(`show the log of ${name}`, {
    reason: "there is none",
    advice: `there are: ${logNames(dir).join(", ")}`,
  });
}

export function logNames(dir: StateDir): string[] {
  const files = existsSync(dir.logs) ? readdirSync(dir.logs).sort() : [];
  const names = files.map((file) =>
    file
      .replace(/\.log$/, "")
      .replace(/^agent-/, "agent/")
      .replace(/^default_/, "")
      .replaceAll("_", "/"),
  );
  return ["lab", ...names];
}

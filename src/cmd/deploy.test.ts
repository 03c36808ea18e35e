// What can be held of deploy/ without systemd as process 1 and without a registry to pull from.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { AGENT_FLAGS } from "./agent-flags.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const read = (name: string): string => readFileSync(`${root}deploy/${name}`, "utf8");

describe("deploy/Containerfile", () => {
  const lines = read("Containerfile").replaceAll(/\\\n/g, " ").split("\n");

  it("copies only what there is", () => {
    const sources = lines
      .filter((line) => line.startsWith("COPY ") && !line.includes("--from="))
      .flatMap((line) => line.split(/\s+/).slice(1, -1));
    assert.ok(sources.length >= 8);
    for (const source of sources) assert.ok(existsSync(root + source), source);
  });

  it("builds with scripts that package.json has, and starts what the build makes", () => {
    const { scripts } = JSON.parse(readFileSync(`${root}package.json`, "utf8")) as { scripts: Record<string, string> };
    for (const [, script = ""] of read("Containerfile").matchAll(/npm run (\S+)/g)) assert.ok(scripts[script], script);
    for (const [, path = ""] of read("Containerfile").matchAll(/\/opt\/podpath\/(dist\/\S+\.js)/g))
      assert.ok(existsSync(root + path), path);
  });

  it("leaves what a build makes out of the build", () => {
    const ignored = readFileSync(`${root}.dockerignore`, "utf8").trim().split("\n");
    assert.deepEqual(ignored, ["node_modules", "dist", ".git"]);
  });
});

describe("deploy/podpath-agent.service", () => {
  const hasSystemd = spawnSync("systemd-analyze", ["--version"]).status === 0;

  it("is a unit that systemd can read", { skip: !hasSystemd && "systemd-analyze is not installed" }, () => {
    const { status, stderr } = spawnSync("systemd-analyze", ["verify", `${root}deploy/podpath-agent.service`], {
      encoding: "utf8",
    });
    assert.equal(status, 0, stderr);
    assert.doesNotMatch(stderr, /podpath-agent\.service:\d+: /);
  });

  it("sets only variables that are flags", () => {
    const flags = new Set(AGENT_FLAGS.map(({ name }) => `FLANNELD_${name.toUpperCase().replaceAll("-", "_")}`));
    const variables = [...read("podpath-agent.service").matchAll(/(FLANNELD_[A-Z_]+)=/g)].map(([, name = ""]) => name);
    assert.ok(variables.length > 0);
    for (const name of variables) assert.ok(flags.has(name), name);
  });
});

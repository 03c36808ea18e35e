import assert from "node:assert/strict";
import { test } from "node:test";
import { runProgram, runTogether } from "./run-program.mjs";

const PATH = "/usr/bin:/bin";
const shell = (script) => ({ path: "/bin/sh", env: { PATH, SCRIPT: script }, stdin: `eval "$SCRIPT"\n` });

test("runProgram() gives the output, the exit code, and what was said on stderr by one that failed", () => {
  const { path, env, stdin } = shell("echo out; echo why >&2; exit 3");
  const { exitCode, stdout, stderr, milliseconds } = runProgram(path, env, stdin);
  assert.deepEqual([exitCode, stdout, stderr], [3, "out\n", "why\n"]);
  assert.ok(milliseconds > 0);
});

test("runTogether() runs each sequence in its order, and no more at once than asked for", () => {
  const said = [];
  const sequences = ["a", "b", "c"].map((name) => {
    const steps = ["1", "2"];
    return (last) => {
      if (last) said.push(last.stdout.trim());
      const step = steps.shift();
      return step && shell(`echo ${name}${step}`);
    };
  });
  runTogether(sequences, 2);
  assert.deepEqual([...said].sort(), ["a1", "a2", "b1", "b2", "c1", "c2"]);
  for (const name of ["a", "b", "c"]) assert.ok(said.indexOf(`${name}1`) < said.indexOf(`${name}2`));
  // The third starts only when one of the two has come to its end.
  assert.ok(said.indexOf("c1") > Math.min(said.indexOf("a2"), said.indexOf("b2")));
});

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { describe, it } from "node:test";
import { LogLimit } from "./log-limit.ts";

describe("LogLimit", () => {
  it("lets the first lines of a kind pass, and says later how many it left out", () => {
    const limit = new LogLimit();
    const passed = Array.from({ length: 1000 }, (_, i) => limit.take(`cannot program peer 10.244.${i}.0/24: no`, i));
    assert.equal(passed.filter((suppressed) => suppressed === 0).length, 20);
    assert.equal(passed.filter((suppressed) => suppressed === undefined).length, 980);
    assert.equal(limit.take("another story", 1000), 0, "others are heard meanwhile");
    assert.equal(limit.take("cannot program peer 10.244.7.0/24: no", 10_001), 980);
    assert.equal(limit.take("cannot program peer 10.244.7.0/24: no", 10_002), 0);
  });

  it("holds a storm in which every line is another", () => {
    const limit = new LogLimit();
    const letters = (n: number): string =>
      n.toString().replaceAll(/[0-9]/g, (digit) => "qrstuvwxyz"[Number(digit)] ?? "");
    const passed = Array.from({ length: 100_000 }, (_, i) => limit.take(`${letters(i)} is wrong`, 1));
    assert.ok(passed.filter((suppressed) => suppressed !== undefined).length <= 220);
  });
});

describe("createLog()", () => {
  it("writes no flood, whoever is told meanwhile", () => {
    const module = JSON.stringify(new URL("./log.js", import.meta.url).href);
    const code = `import { createLog } from ${module}; const log = createLog("test", "info");
      for (let i = 0; i < 5000; i++) log.warn({ i }, "it is wrong"); log.info("and the end");`;
    const { stderr } = spawnSync(process.execPath, ["--input-type=module", "--eval", code], { encoding: "utf8" });
    const lines = stderr
      .trim()
      .split("\n")
      .map((line) => (JSON.parse(line) as { msg: string }).msg);
    assert.deepEqual(lines, [...Array.from({ length: 20 }, () => "it is wrong"), "and the end"]);
  });
});

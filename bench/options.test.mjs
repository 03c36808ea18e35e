import assert from "node:assert/strict";
import { test } from "node:test";
import { parseOptions, UsageError } from "./options.mjs";

test("without arguments the two usual benchmarks run, with nine rounds", () => {
  const options = parseOptions([]);
  assert.deepEqual(options.suites, ["datapath", "cni"]);
  assert.equal(options.rounds, 9);
  assert.equal(options.calls, 120);
});

test("a benchmark is chosen by its name, in whatever place", () => {
  assert.deepEqual(parseOptions(["--json", "cni"]).suites, ["cni"]);
  assert.deepEqual(parseOptions(["cni", "datapath"]).suites, ["datapath", "cni"]);
  assert.deepEqual(parseOptions(["udp"]).suites, ["udp"]);
  assert.deepEqual(parseOptions(["leases", "--embedded"]).suites, ["leases"]);
});

test("--quick makes less of everything, and what is said expressly stands", () => {
  const quick = parseOptions(["--quick"]);
  assert.ok(quick.rounds < 9 && quick.calls < 120);
  assert.equal(parseOptions(["--quick", "--rounds", "12"]).rounds, 12);
});

for (const [args, message] of [
  [["dns"], /No benchmark is called "dns"; there are datapath, cni, udp, leases/],
  [["--rounds", "2"], /--rounds wants a whole number from 3 to 100, not "2"/],
  [["--rounds", "nine"], /--rounds wants .* not "nine"/],
  [["--rounds", "1e1"], /--rounds wants .* not "1e1"/],
  [["--calls", "5000"], /--calls wants .* from 20 to 2000, not "5000"/],
  [["--speed"], /--speed/],
  [["--rounds"], /--rounds/],
]) {
  test(`${args.join(" ")} is refused, with what would be right`, () => {
    assert.throws(
      () => parseOptions(args),
      (error) => error instanceof UsageError && message.test(error.message),
    );
  });
}

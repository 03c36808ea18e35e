import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { type Boot, currentBoot, removeOfEarlierBoots } from "./boot.ts";
import { freeAddressesOfEarlierBoots } from "./host-local.ts";

const NOON = Date.UTC(2026, 0, 1, 12);

function inFolder(body: (folder: string, put: (name: string, atMs: number) => void) => void): void {
  const folder = mkdtempSync(join(tmpdir(), "podpath-boot-"));
  try {
    body(folder, (name, atMs) => {
      writeFileSync(join(folder, name), "c1\r\neth0");
      utimesSync(join(folder, name), atMs / 1000, atMs / 1000);
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const boot = (id: string, startedMs: number): Boot => ({ id, startedMs });
const addresses = (folder: string): string[] =>
  readdirSync(folder)
    .filter((name) => /^[0-9a-f]/.test(name))
    .sort();

test("after a reboot the addresses of before are free, those of the new boot and all other files stay", () =>
  inFolder((folder, put) => {
    assert.deepEqual(removeOfEarlierBoots(folder, boot("one", NOON)), []);
    for (const name of ["10.1.0.2", "10.1.0.3", "fd00::2"]) put(name, NOON + 1000);
    put("last_reserved_ip.0", NOON + 1000);
    put("lock", NOON + 1000);
    assert.deepEqual(removeOfEarlierBoots(folder, boot("one", NOON)), [], "the same boot");
    put("10.1.0.4", NOON + 90_000); // by the reference plugin, before anybody of ours looked
    assert.deepEqual(removeOfEarlierBoots(folder, boot("two", NOON + 60_000)).sort(), [
      "10.1.0.2",
      "10.1.0.3",
      "fd00::2",
    ]);
    assert.deepEqual(addresses(folder), ["10.1.0.4"]);
    assert.ok(readdirSync(folder).includes("last_reserved_ip.0"));
    assert.deepEqual(removeOfEarlierBoots(folder, boot("two", NOON + 60_000)), []);
  }));

test("a folder that nobody of ours has opened is left as it is, for want of a second witness", () =>
  inFolder((folder, put) => {
    put("10.1.0.2", NOON);
    assert.deepEqual(removeOfEarlierBoots(folder, boot("two", NOON + 60_000)), []);
    assert.deepEqual(addresses(folder), ["10.1.0.2"]);
    assert.deepEqual(
      removeOfEarlierBoots(folder, boot("three", NOON + 120_000)),
      ["10.1.0.2"],
      "the next boot's business",
    );
  }));

test("a clock that was put forward since the boot takes no address away", () =>
  inFolder((folder, put) => {
    removeOfEarlierBoots(folder, boot("one", 0));
    put("10.1.0.2", 5000); // in 1970, before the clock was set
    assert.deepEqual(removeOfEarlierBoots(folder, boot("one", NOON)), []);
  }));

test("the agent's start frees them in every network, the folder of a dead one included", async () => {
  const dataDir = mkdtempSync(join(tmpdir(), "podpath-boot-"));
  try {
    for (const network of ["a", "b"]) {
      mkdirSync(join(dataDir, network));
      writeFileSync(join(dataDir, network, ".podpath-boot"), "another boot");
      writeFileSync(join(dataDir, network, "10.1.0.2"), "c1\r\neth0");
      utimesSync(join(dataDir, network, "10.1.0.2"), 1000, 1000);
      writeFileSync(join(dataDir, network, "10.1.0.3"), "c2\r\neth0");
    }
    await freeAddressesOfEarlierBoots(dataDir);
    for (const network of ["a", "b"]) assert.deepEqual(addresses(join(dataDir, network)), ["10.1.0.3"]);
    await freeAddressesOfEarlierBoots(join(dataDir, "absent"));
  } finally {
    rmSync(dataDir, { recursive: true });
  }
});

test("currentBoot() is this boot", () => {
  const { id, startedMs } = currentBoot();
  assert.match(id, /^[0-9a-f-]{36}$/);
  assert.ok(startedMs < Date.now() && startedMs > Date.now() - 10 * 365 * 86_400_000);
});

import assert from "node:assert/strict";
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import fc from "fast-check";
import { decodeEntries, type Entry, encodeEntries } from "./entry.ts";
import { decodeFrames, encodeFrame, MAGIC } from "./frames.ts";
import { Journal } from "./journal.ts";
import { type Change, tombstone } from "./keyspace.ts";

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "podpath-journal-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const change = (key: string, main: number): Change => ({
  key,
  main,
  sub: 0,
  create: main,
  version: 1,
  value: Buffer.from(`value of ${main}`),
  lease: "0",
});

interface Opened {
  readonly journal: Journal;
  readonly entries: Entry[];
}

/** The state is simply all entries there ever were, so a snapshot holds them all. */
async function open(maxWalBytes = 1 << 20): Promise<Opened> {
  const entries: Entry[] = [];
  const fail = (error: Error): void => assert.fail(error);
  const options = { directory, maxWalBytes, snapshot: () => [...entries], onFailure: fail, onSnapshotFailure: fail };
  const journal = await Journal.open(options, (entry) => void (entry.isEnd || entries.push(entry)));
  return { journal, entries };
}

function append({ journal, entries }: Opened, entry: Entry): void {
  entries.push(entry);
  journal.append(entry);
}

const walFile = (): string =>
  join(
    directory,
    readdirSync(directory)
      .filter((name) => name.startsWith("wal"))
      .at(-1) ?? "",
  );

test("entries round-trip, whatever bytes are in keys and values", () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.uint8Array(), (key, value) => {
      const changes = [
        { ...change(Buffer.from(key).toString("latin1"), 7), value: Buffer.from(value) },
        tombstone("\xff", 8, 1),
      ];
      const entries: Entry[] = [{ changes }, { revoked: "5", changes: [] }, { compacted: 0, revision: 9 }];
      assert.deepEqual(decodeEntries(encodeEntries(entries)), entries);
    }),
  );
});

test("what was appended is read back, in order, over several openings", async () => {
  const all: Entry[] = [];
  for (let round = 0; round < 3; round++) {
    const opened = await open();
    assert.deepEqual(opened.entries, all);
    for (let i = 0; i < 20; i++) append(opened, { changes: [change("k", 100 * round + i)] });
    await opened.journal.settled();
    all.push(...opened.entries.slice(all.length));
    await opened.journal.close();
  }
});

test("a crash at any byte of the wal loses nothing that was whole, and the next write is read back", async () => {
  const opened = await open();
  for (let i = 1; i <= 3; i++) {
    append(opened, { changes: [change("k", i)] });
    await opened.journal.settled();
  }
  await opened.journal.close();
  const whole = readFileSync(walFile());
  const ends = frameEnds(whole);
  assert.equal(ends.length, 3);
  for (let length = 0; length <= whole.length; length++) {
    writeFileSync(walFile(), whole.subarray(0, length));
    const again = await open();
    assert.deepEqual(
      again.entries,
      opened.entries.slice(0, ends.filter((end) => end <= length).length),
      `${length} bytes`,
    );
    append(again, { changes: [change("after", 99)] });
    await again.journal.settled();
    await again.journal.close();
    const last = await open();
    assert.equal(last.entries.at(-1)?.changes?.[0]?.key, "after", `${length} bytes`);
    await last.journal.close();
  }
});

test("zeroes that a file system left behind the last write are no damage", async () => {
  const opened = await open();
  append(opened, { changes: [change("k", 1)] });
  await opened.journal.settled();
  await opened.journal.close();
  appendFileSync(walFile(), Buffer.alloc(4096));
  const again = await open();
  assert.equal(again.entries.length, 1);
  await again.journal.close();
});

test("damage that no crash makes is told, with the file and what to do, and nothing is changed", async () => {
  const opened = await open();
  for (let i = 1; i <= 3; i++) {
    append(opened, { changes: [change("k", i)] });
    await opened.journal.settled();
  }
  await opened.journal.close();
  const file = walFile();
  const whole = readFileSync(file);
  const damaged = Buffer.from(whole);
  const inFirst = MAGIC.length + 20;
  damaged[inFirst] = (damaged[inFirst] ?? 0) ^ 1;
  writeFileSync(file, damaged);
  await assert.rejects(
    open(),
    (error: Error) => error.message.includes(file) && /checksum.*put a copy/.test(error.message),
  );
  assert.deepEqual(readFileSync(file), damaged);
  writeFileSync(file, "something else entirely");
  await assert.rejects(open(), /does not begin as/);
});

test("a long wal becomes a snapshot, while entries go on coming; old files go", async () => {
  const opened = await open(2000);
  for (let i = 1; i <= 400; i++) {
    append(opened, { changes: [change("k", i)] });
    if (i % 7 === 0) await opened.journal.settled();
  }
  await opened.journal.settled();
  await opened.journal.close();
  const names = readdirSync(directory);
  assert.ok(
    names.some((name) => name.startsWith("snapshot-")),
    names.join(),
  );
  assert.ok(names.length <= 4, names.join());
  const again = await open(2000);
  assert.deepEqual(again.entries, opened.entries);
  await again.journal.close();
});

test("a crash between the new wal and its snapshot loses nothing", async () => {
  const opened = await open(500);
  for (let i = 1; i <= 30; i++) {
    append(opened, { changes: [change("k", i)] });
    await opened.journal.settled();
  }
  await opened.journal.close();
  // As if the newest snapshot had not been finished: what is left are a shorter one and the wals after it.
  const first = await open();
  append(first, { changes: [change("last", 31)] });
  await first.journal.settled();
  await first.journal.close();
  const number = /\d{16}$/.exec(walFile())?.[0] ?? "";
  const next = String(Number(number) + 1).padStart(16, "0");
  writeFileSync(join(directory, `wal-${next}`), MAGIC.subarray(0, 5));
  writeFileSync(join(directory, `snapshot-${next}.tmp`), "half");
  const again = await open();
  assert.deepEqual(again.entries, first.entries);
  await again.journal.close();
  assert.ok(!readdirSync(directory).some((name) => name.endsWith(".tmp")));
});

test("a snapshot that has lost its end is told", async () => {
  const opened = await open(500);
  for (let i = 1; i <= 30; i++) {
    append(opened, { changes: [change("k", i)] });
    await opened.journal.settled();
  }
  await opened.journal.close();
  const snapshot = join(directory, readdirSync(directory).find((name) => name.startsWith("snapshot")) ?? "");
  truncateSync(snapshot, readFileSync(snapshot).length - 3);
  await assert.rejects(open(), /damaged: its end is missing/);
});

test("decodeFrames() gives what was encoded, or RangeError, of any bytes", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ minLength: 1 })), fc.uint8Array(), (payloads, tail) => {
      const frames = payloads.map((payload) => encodeFrame(Buffer.from(payload)));
      assert.deepEqual(
        decodeFrames(Buffer.concat([MAGIC, ...frames])).payloads,
        payloads.map((payload) => Buffer.from(payload)),
      );
      try {
        const file = Buffer.concat([MAGIC, ...frames, tail]);
        assert.ok(decodeFrames(file).goodBytes <= file.length);
      } catch (error) {
        assert.ok(error instanceof RangeError);
      }
    }),
  );
});

function frameEnds(file: Buffer): number[] {
  const ends: number[] = [];
  for (let at = MAGIC.length; at < file.length; ) {
    at += 8 + file.readUInt32LE(at);
    ends.push(at);
  }
  return ends;
}

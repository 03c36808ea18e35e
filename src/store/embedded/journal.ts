// What makes a restart lose nothing. In the data directory: `snapshot-N`, a whole state, and `wal-N`, `wal-N+1`, …,
// what happened after it. Reading back: the newest snapshot, then every wal from its number on. A snapshot is written
// beside the running wal and renamed when it is whole, so at no moment is there a state that cannot be read back.
import { type FileHandle, open, readdir, readFile, rename, rm, stat, truncate } from "node:fs/promises";
import { dirname, join } from "node:path";
import { makeDirectories } from "../../kernel/index.ts";
import { decodeEntries, type Entry, encodeEntries } from "./entry.ts";
import { decodeFrames, encodeFrame, MAGIC } from "./frames.ts";

const ENTRIES_PER_FRAME = 1000;

export interface JournalOptions {
  /** Is there already. */
  readonly directory: string;
  /** The whole state, taken at once: called when the wal has grown enough. */
  readonly snapshot: () => readonly Entry[];
  /** A snapshot is due when the wal is this long. */
  readonly maxWalBytes: number;
  /** Nothing can be kept any more. */
  readonly onFailure: (error: Error) => void;
  /** A snapshot could not be written: the wals go on growing. */
  readonly onSnapshotFailure: (error: Error) => void;
}

/** Entries that go down in one write, and who waits for it. */
interface Batch {
  readonly entries: Entry[];
  readonly written: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export class Journal {
  readonly #options: JournalOptions;
  #wal: FileHandle;
  #number: number;
  #walBytes: number;
  #waiting: Batch | undefined;
  #underWay: Batch | undefined;
  #running: Promise<void> | undefined;
  #snapshotting: Promise<void> | undefined;
  #failure: Error | undefined;

  private constructor(options: JournalOptions, wal: FileHandle, number: number, walBytes: number) {
    this.#options = options;
    this.#wal = wal;
    this.#number = number;
    this.#walBytes = walBytes;
  }

  /** Gives every entry there is to `apply`, then is ready to append. @throws when the directory cannot be used */
  static async open(options: JournalOptions, apply: (entry: Entry) => void): Promise<Journal> {
    const { directory } = options;
    makeDirectories(directory, 0o700);
    const names = await readdir(directory);
    const numbers = (kind: string): number[] =>
      names
        .map((name) => new RegExp(`^${kind}-(\\d{16})$`).exec(name)?.[1])
        .filter((text) => text !== undefined)
        .map(Number)
        .sort((a, b) => a - b);
    const base = numbers("snapshot").at(-1) ?? 0;
    if (base > 0) for (const entry of await readSnapshot(fileName(directory, "snapshot", base))) apply(entry);
    const wals = numbers("wal").filter((number) => number >= base);
    const walBytes = await replay(directory, wals, apply);
    const number = wals.at(-1) ?? base;
    const wal = await open(fileName(directory, "wal", number), "a", 0o600);
    if (walBytes === 0) await writeWhole(wal, MAGIC);
    await wal.sync();
    await syncDirectory(directory);
    await removeBefore(directory, base);
    return new Journal(options, wal, number, walBytes);
  }

  /** Keeps `entry`; settled() then resolves when it is on disk. */
  append(entry: Entry): void {
    this.#waiting ??= newBatch();
    this.#waiting.entries.push(entry);
    this.#running ??= this.#run();
  }

  /** Resolves when everything appended so far is on disk. @throws what made that impossible */
  async settled(): Promise<void> {
    if (this.#failure) throw this.#failure;
    await (this.#waiting ?? this.#underWay)?.written;
  }

  async close(): Promise<void> {
    await this.#running;
    await this.#snapshotting;
    await this.#wal.close();
  }

  async #run(): Promise<void> {
    try {
      while (this.#waiting) await this.#writeBatch();
    } catch (error) {
      this.#failure = error instanceof Error ? error : new Error(String(error));
      this.#options.onFailure(this.#failure);
      this.#underWay?.reject(this.#failure);
      this.#waiting?.reject(this.#failure);
    }
    this.#underWay = undefined;
    this.#running = undefined;
  }

  /** What comes in while the disk is busy goes down together, with the next write. */
  async #writeBatch(): Promise<void> {
    const isDue = this.#walBytes > this.#options.maxWalBytes && !this.#snapshotting;
    const next = isDue ? await open(this.#path("wal", this.#number + 1), "a", 0o600) : undefined;
    // No await from here until the state is taken: it must hold this batch and nothing of the next.
    const batch = this.#waiting ?? newBatch();
    this.#underWay = batch;
    this.#waiting = undefined;
    const state = next && this.#options.snapshot();
    this.#walBytes += await writeWhole(this.#wal, encodeFrame(encodeEntries(batch.entries)));
    await this.#wal.datasync();
    batch.resolve();
    if (next && state) await this.#rotate(next, state);
  }

  /** Goes on in wal N+1 while `state`, all that was before it, is written as snapshot N+1. */
  async #rotate(next: FileHandle, state: readonly Entry[]): Promise<void> {
    const { directory } = this.#options;
    await this.#wal.close();
    this.#wal = next;
    this.#number += 1;
    const number = this.#number;
    this.#walBytes = await writeWhole(next, MAGIC);
    await syncDirectory(directory);
    this.#snapshotting = writeSnapshot(this.#path("snapshot", number), state)
      .then(() => removeBefore(directory, number))
      .catch((error: Error) => this.#options.onSnapshotFailure(error))
      .finally(() => {
        this.#snapshotting = undefined;
      });
  }

  #path(kind: "snapshot" | "wal", number: number): string {
    return fileName(this.#options.directory, kind, number);
  }
}

function newBatch(): Batch {
  let resolve = (): void => {};
  let reject = (_error: Error): void => {};
  const written = new Promise<void>((onWritten, onFailed) => {
    resolve = onWritten;
    reject = onFailed;
  });
  // Whoever needs to know awaits `written`; when nobody does, a failure is still told by onFailure.
  written.catch(() => {});
  return { entries: [], written, resolve, reject };
}

/** Reads the wals in order, cuts off what a crash tore, and returns how long the last one is. */
async function replay(directory: string, wals: readonly number[], apply: (entry: Entry) => void): Promise<number> {
  let torn: string | undefined;
  let bytes = 0;
  for (const number of wals) {
    const path = fileName(directory, "wal", number);
    const { payloads, goodBytes } = await readFrames(path);
    // A wal is whole on disk before the next one gets its first entry.
    if (torn && payloads.length > 0) throw damaged(torn, "its end is missing");
    for (const payload of payloads) decodeEntries(payload).forEach(apply);
    if (goodBytes < (await stat(path)).size) {
      torn = path;
      await truncate(path, goodBytes);
    }
    bytes = goodBytes;
  }
  return bytes;
}

function fileName(directory: string, kind: "snapshot" | "wal", number: number): string {
  return join(directory, `${kind}-${String(number).padStart(16, "0")}`);
}

async function readFrames(path: string): Promise<ReturnType<typeof decodeFrames>> {
  try {
    return decodeFrames(await readFile(path));
  } catch (error) {
    throw damaged(path, error instanceof Error ? error.message : String(error), error);
  }
}

function damaged(path: string, why: string, cause?: unknown): Error {
  const advice = "put a copy of the directory back, or move it away to begin anew";
  return new Error(`${path} is damaged: ${why}; ${advice}`, { cause });
}

async function readSnapshot(path: string): Promise<Entry[]> {
  const entries = (await readFrames(path)).payloads.flatMap(decodeEntries);
  if (!entries.at(-1)?.isEnd) throw damaged(path, "its end is missing");
  return entries;
}

async function writeSnapshot(path: string, entries: readonly Entry[]): Promise<void> {
  const file = await open(`${path}.tmp`, "w", 0o600);
  try {
    await writeWhole(file, MAGIC);
    for (let i = 0; i < entries.length; i += ENTRIES_PER_FRAME)
      await writeWhole(file, encodeFrame(encodeEntries(entries.slice(i, i + ENTRIES_PER_FRAME))));
    await writeWhole(file, encodeFrame(encodeEntries([{ isEnd: true }])));
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${path}.tmp`, path);
  await syncDirectory(dirname(path));
}

async function removeBefore(directory: string, number: number): Promise<void> {
  for (const name of await readdir(directory)) {
    const [, kind, digits, temporary] = /^(snapshot|wal)-(\d{16})(\.tmp)?$/.exec(name) ?? [];
    if (kind && (temporary || Number(digits) < number)) await rm(join(directory, name), { force: true });
  }
}

async function writeWhole(file: FileHandle, bytes: Buffer): Promise<number> {
  for (let done = 0; done < bytes.length; ) done += (await file.write(bytes, done, bytes.length - done)).bytesWritten;
  return bytes.length;
}

async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

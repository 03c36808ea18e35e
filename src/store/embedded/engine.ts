import { randomBytes } from "node:crypto";
import { status } from "@grpc/grpc-js";
import type { ResponseHeader } from "../etcdserverpb/types.ts";
import type { Log } from "../log.ts";
import type { Entry, Identity } from "./entry.ts";
import { EtcdStatus, etcdErrors } from "./etcd-status.ts";
import { Journal } from "./journal.ts";
import { KeySpace } from "./keyspace.ts";
import { type LeaseRecord, Lessor } from "./lessor.ts";
import type { Evaluation } from "./requests.ts";
import { Transaction } from "./transaction.ts";

const MAX_LEASE_TTL_SECONDS = 9_000_000_000;
const RAFT_TERM = "2";

export interface EngineOptions {
  readonly dataDir: string;
  /** How many changes are kept for watches and old reads before they are compacted away. */
  readonly historyChanges: number;
  readonly maxWalBytes: number;
  readonly log: Log | undefined;
}

/**
 * The store behind the services: key space, leases and journal. A request is decided at once, in memory, and answered
 * when what it saw or did is on disk; watches see a change then too. So nobody ever saw what a crash takes back.
 */
export class Engine {
  readonly keys: KeySpace = new KeySpace();
  readonly leases: Lessor;
  readonly #log: Log | undefined;
  readonly #historyChanges: number;
  readonly #watchers = new Set<() => void>();
  #journal: Journal | undefined;
  #identity: Identity = { clusterId: "0", memberId: "0" };
  #failure: EtcdStatus | undefined;
  /** The newest revision that is on disk. */
  durableRevision = 1;

  private constructor(options: EngineOptions) {
    this.#log = options.log;
    this.#historyChanges = options.historyChanges;
    this.leases = new Lessor((id) => this.#expire(id));
  }

  static async open(options: EngineOptions): Promise<Engine> {
    const engine = new Engine(options);
    const journal = await Journal.open(
      {
        directory: options.dataDir,
        maxWalBytes: options.maxWalBytes,
        snapshot: () => engine.#snapshot(),
        onFailure: (error) => engine.#fail(error),
        onSnapshotFailure: (error) =>
          options.log?.error({ err: error, dataDir: options.dataDir }, "store: cannot write a snapshot"),
      },
      (entry) => engine.#apply(entry),
    );
    engine.#journal = journal;
    engine.durableRevision = engine.keys.revision;
    if (engine.#identity.memberId === "0") {
      engine.#record({ identity: { clusterId: randomId(), memberId: randomId() } });
      await journal.settled();
    }
    engine.leases.start();
    return engine;
  }

  get memberId(): string {
    return this.#identity.memberId;
  }

  header(revision: number = this.keys.revision): ResponseHeader {
    const { clusterId, memberId } = this.#identity;
    return { cluster_id: clusterId, member_id: memberId, revision: String(revision), raft_term: RAFT_TERM };
  }

  /** Decides `evaluate`, keeps what it wrote, and answers when all it saw is on disk. @throws {EtcdStatus} */
  async execute<T>(evaluate: (at: Evaluation) => T): Promise<T> {
    this.#check();
    const transaction = new Transaction(this.keys);
    const answer = evaluate({
      transaction,
      hasLease: (id) => id === "0" || this.leases.has(id),
      header: (revision) => this.header(revision),
    });
    if (transaction.changes.length > 0) this.#record({ changes: transaction.changes });
    this.#bound();
    await this.#settled();
    return answer;
  }

  async compact(revision: number): Promise<void> {
    this.#check();
    if (revision <= this.keys.compacted) throw etcdErrors.Compacted();
    if (revision > this.keys.revision) throw etcdErrors.FutureRev();
    this.#record({ compacted: revision });
    await this.#settled();
  }

  /** `id` "0": the store chooses. Returns the id. */
  async grant(id: string, ttlSeconds: number): Promise<LeaseRecord> {
    this.#check();
    if (ttlSeconds > MAX_LEASE_TTL_SECONDS) throw etcdErrors.LeaseTtlTooLarge();
    if (this.leases.has(id)) throw etcdErrors.LeaseExist();
    return this.#setLease(id === "0" ? this.#freeLeaseId() : id, Math.max(1, ttlSeconds));
  }

  /** undefined: there is no such lease. */
  async renew(id: string): Promise<LeaseRecord | undefined> {
    this.#check();
    const lease = this.leases.get(id);
    return lease && this.#setLease(id, lease.ttlSeconds);
  }

  async revoke(id: string): Promise<void> {
    this.#check();
    this.#recordRevocation(id);
    await this.#settled();
  }

  /** Calls `onDurable` whenever there may be something new to watch. */
  subscribe(onDurable: () => void): () => void {
    this.#watchers.add(onDurable);
    return () => this.#watchers.delete(onDurable);
  }

  async close(): Promise<void> {
    this.leases.stop();
    this.#failure ??= etcdErrors.Stopped();
    await this.#journal?.close();
  }

  #check(): void {
    if (this.#failure) throw this.#failure;
  }

  async #settled(): Promise<void> {
    const { revision } = this.keys;
    try {
      await this.#journal?.settled();
    } catch (error) {
      throw this.#failure ?? error;
    }
    if (revision <= this.durableRevision) return;
    this.durableRevision = revision;
    for (const onDurable of this.#watchers) onDurable();
  }

  #record(entry: Entry): void {
    this.#apply(entry);
    this.#journal?.append(entry);
  }

  #apply(entry: Entry): void {
    if (entry.identity) this.#identity = entry.identity;
    if (entry.lease) this.leases.apply(entry.lease);
    if (entry.changes) {
      this.keys.apply(entry.changes);
      this.leases.follow(entry.changes);
    }
    if (entry.revoked) this.leases.remove(entry.revoked);
    if (entry.compacted !== undefined) this.keys.compact(entry.compacted);
    if (entry.revision) this.keys.revision = Math.max(this.keys.revision, entry.revision);
  }

  /** Everything that #apply() needs to come to the same state. */
  #snapshot(): Entry[] {
    const { compacted, revision } = this.keys;
    return [
      { identity: this.#identity },
      ...this.leases.records().map((lease) => ({ lease })),
      ...this.keys.allChanges().map((change) => ({ changes: [change] })),
      { revision, compacted },
    ];
  }

  async #setLease(id: string, ttlSeconds: number): Promise<LeaseRecord> {
    const lease: LeaseRecord = { id, ttlSeconds, expiresAtMs: Date.now() + 1000 * ttlSeconds };
    this.#record({ lease });
    await this.#settled();
    return lease;
  }

  #recordRevocation(id: string): void {
    const lease = this.leases.get(id);
    if (!lease) throw etcdErrors.LeaseNotFound();
    const transaction = new Transaction(this.keys);
    for (const key of lease.keys) transaction.delete(key);
    this.#record({ revoked: id, ...(transaction.changes.length > 0 && { changes: transaction.changes }) });
  }

  #expire(id: string): void {
    this.#log?.info({ lease: id }, "store: a lease expired");
    this.#recordRevocation(id);
    this.#settled().catch(() => {
      // #fail() has told it.
    });
  }

  /** Keeps the history from growing for ever, where nobody asks for a compaction. */
  #bound(): void {
    if (this.keys.changeCount <= 2 * this.#historyChanges) return;
    const revision = this.keys.revisionBefore(this.#historyChanges);
    if (revision > this.keys.compacted) this.#record({ compacted: revision });
  }

  #fail(error: Error): void {
    this.#log?.error({ err: error }, "store: cannot write to disk; every request is refused until a restart");
    this.#failure = new EtcdStatus(status.UNAVAILABLE, `cannot write to disk: ${error.message}`);
    this.leases.stop();
  }

  #freeLeaseId(): string {
    for (;;) {
      const id = randomId();
      if (!this.leases.has(id)) return id;
    }
  }
}

/** A positive int64. */
function randomId(): string {
  return String((randomBytes(8).readBigUInt64BE() >> 1n) | 1n);
}

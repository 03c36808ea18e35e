import type { Change } from "./keyspace.ts";
import type { LeaseRecord } from "./lessor.ts";

/** One thing that happened, all or nothing: what the journal keeps and what makes the state when read back. */
export interface Entry {
  readonly changes?: readonly Change[];
  readonly lease?: LeaseRecord;
  /** The lease that ended. */
  readonly revoked?: string;
  readonly compacted?: number;
  readonly revision?: number;
  /** Who this store is, for the header of every response. */
  readonly identity?: Identity;
  /** The last entry of a whole snapshot. */
  readonly isEnd?: true;
}

export interface Identity {
  readonly clusterId: string;
  readonly memberId: string;
}

/** key, main, sub, create, version, value, lease; bytes in base64. */
type ChangeRow = readonly [string, number, number, number, number, string, string];

export function encodeEntries(entries: readonly Entry[]): Buffer {
  const row = (c: Change): ChangeRow => [
    Buffer.from(c.key, "latin1").toString("base64"),
    c.main,
    c.sub,
    c.create,
    c.version,
    c.value.toString("base64"),
    c.lease,
  ];
  return Buffer.from(
    JSON.stringify(entries.map((entry) => (entry.changes ? { ...entry, changes: entry.changes.map(row) } : entry))),
  );
}

/** Of a payload whose checksum was right, so it is what encodeEntries() made. */
export function decodeEntries(payload: Buffer): Entry[] {
  const entries = JSON.parse(payload.toString()) as (Omit<Entry, "changes"> & { changes?: ChangeRow[] })[];
  return entries.map(({ changes, ...entry }) => ({
    ...entry,
    ...(changes && {
      changes: changes.map(([key, main, sub, create, version, value, lease]) => ({
        key: Buffer.from(key, "base64").toString("latin1"),
        main,
        sub,
        create,
        version,
        value: Buffer.from(value, "base64"),
        lease,
      })),
    }),
  }));
}

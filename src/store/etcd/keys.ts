import type { PbKeyValue } from "../etcdserverpb/types.ts";
import type { KeyValue } from "../store.ts";

/** The range of every key that begins with `prefix`, in etcd's way of writing. */
export function prefixRange(prefix: string): { key: Buffer; range_end: Buffer } {
  const key = Buffer.from(prefix);
  const end = Buffer.from(key);
  for (let i = end.length - 1; i >= 0; i--) {
    const byte = end[i] ?? 0xff;
    if (byte < 0xff) {
      end[i] = byte + 1;
      return { key, range_end: end.subarray(0, i + 1) };
    }
  }
  // Nothing to count up: from the key to the last there is.
  return { key: key.length > 0 ? key : Buffer.from([0]), range_end: Buffer.from([0]) };
}

export function fromPb(kv: PbKeyValue): KeyValue {
  return {
    key: kv.key.toString(),
    value: kv.value,
    valueText: kv.value.toString(),
    createRevision: BigInt(kv.create_revision),
    modRevision: BigInt(kv.mod_revision),
    version: BigInt(kv.version),
    lease: BigInt(kv.lease),
  };
}

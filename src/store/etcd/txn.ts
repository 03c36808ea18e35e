import {
  COMPARE_RESULT,
  COMPARE_TARGET,
  type PbCompare,
  type RequestOp,
  type ResponseOp,
  type Sent,
} from "../etcdserverpb/types.ts";
import type { Compare, Op, OpResult } from "../store.ts";
import { fromPb, prefixRange } from "./keys.ts";

const RESULTS = {
  "=": COMPARE_RESULT.EQUAL,
  "!=": COMPARE_RESULT.NOT_EQUAL,
  ">": COMPARE_RESULT.GREATER,
  "<": COMPARE_RESULT.LESS,
} as const;
const NUMBERS = {
  version: { target: COMPARE_TARGET.VERSION, field: "version" },
  createRevision: { target: COMPARE_TARGET.CREATE, field: "create_revision" },
  modRevision: { target: COMPARE_TARGET.MOD, field: "mod_revision" },
  lease: { target: COMPARE_TARGET.LEASE, field: "lease" },
} as const;

export function toPbCompare(compare: Compare): Sent<PbCompare> {
  const common = { key: Buffer.from(compare.key), result: RESULTS[compare.operator ?? "="] };
  if (compare.target === "value") return { ...common, target: COMPARE_TARGET.VALUE, value: Buffer.from(compare.value) };
  const { target, field } = NUMBERS[compare.target];
  return { ...common, target, [field]: String(compare.value) };
}

export function toRequestOp(op: Op): { [K in keyof RequestOp]?: object } {
  switch (op.op) {
    case "put":
      return {
        request_put: { key: Buffer.from(op.key), value: Buffer.from(op.value), lease: String(op.lease ?? 0n) },
      };
    case "get":
      return { request_range: { key: Buffer.from(op.key) } };
    case "list":
      return { request_range: prefixRange(op.prefix) };
    case "delete":
      return { request_delete_range: { key: Buffer.from(op.key) } };
    case "deletePrefix":
      return { request_delete_range: prefixRange(op.prefix) };
  }
}

export function fromResponseOp(response: ResponseOp): OpResult {
  return {
    kvs: (response.response_range?.kvs ?? []).map(fromPb),
    deleted: Number(response.response_delete_range?.deleted ?? 0),
  };
}

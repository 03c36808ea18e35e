import type { Hop } from "../model/index.ts";

/** A hop as plain JSON data: bytes as hex, nanoseconds as a decimal string. */
export type JsonHop = Readonly<Record<string, unknown>>;

export function hopToJson(hop: Hop): JsonHop {
  return { ...hop };
}

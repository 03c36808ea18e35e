import type { Layer } from "../formats/packet/index.ts";
import { type Hop, openEnvelope } from "../model/index.ts";

/** A hop as plain JSON data: bytes as hex, nanoseconds as a decimal string, headers outer and inner. */
export interface JsonHop extends Omit<Hop, "packet" | "frame" | "timestampNs"> {
  readonly timestampNs: string;
  readonly frame: string;
  /** The VXLAN carrier's headers; empty when there is no carrier. */
  readonly outer: readonly JsonLayer[];
  readonly vni?: number;
  readonly inner: readonly JsonLayer[];
}
export type JsonLayer = Readonly<Record<string, unknown>>;

export function hopToJson(hop: Hop): JsonHop {
  const { packet, frame, timestampNs, ...rest } = hop;
  const { outer, inner, vni } = openEnvelope(packet);
  return {
    ...rest,
    timestampNs: String(timestampNs),
    outer: outer.map(layerToJson),
    ...(vni === undefined ? {} : { vni }),
    inner: inner.map(layerToJson),
    frame: hex(frame),
  };
}

function layerToJson(layer: Layer): JsonLayer {
  return Object.fromEntries(Object.entries(layer).map(([name, value]) => [name, plain(value)]));
}

function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return hex(value);
  if (typeof value === "bigint") return String(value);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === "object" && value !== null)
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, plain(inner)]));
  return value;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("hex");
}

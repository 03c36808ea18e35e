// The statements of a rule and what they are about, from libnftables-json(5). What is not known here stays as nft gave
// it, in `raw`, so that a reader can say which rule it cannot judge instead of guessing.
import type { Verdict } from "./objects.ts";

export type Statement =
  | { readonly kind: "match"; readonly op: string; readonly left: Operand; readonly right: Operand }
  | { readonly kind: "verdict"; readonly verdict: Verdict }
  | { readonly kind: "vmap"; readonly key: Operand; readonly data: Operand }
  | {
      readonly kind: "snat" | "dnat";
      readonly address?: Operand;
      readonly port?: Operand;
      readonly flags: readonly string[];
    }
  | { readonly kind: "masquerade"; readonly port?: Operand; readonly flags: readonly string[] }
  | { readonly kind: "reject"; readonly type?: string; readonly expression?: string }
  | { readonly kind: "mangle"; readonly key: Operand; readonly value: Operand }
  | { readonly kind: "counter"; readonly packets: number; readonly bytes: number }
  | { readonly kind: "raw"; readonly json: unknown };

export type Operand =
  | { readonly kind: "value"; readonly value: string | number }
  | { readonly kind: "prefix"; readonly address: string; readonly length: number }
  | { readonly kind: "range"; readonly from: Operand; readonly to: Operand }
  | { readonly kind: "list"; readonly items: readonly Operand[] }
  | { readonly kind: "named-set"; readonly name: string }
  | { readonly kind: "concat"; readonly parts: readonly Operand[] }
  /** A verdict map's or map's anonymous elements: `{ 0 : goto a, 1 : goto b }`. */
  | { readonly kind: "mappings"; readonly entries: readonly (readonly [Operand, Operand | Verdict])[] }
  | { readonly kind: "payload"; readonly protocol: string; readonly field: string }
  | { readonly kind: "meta"; readonly key: string }
  | { readonly kind: "ct"; readonly key: string; readonly direction?: string }
  | { readonly kind: "fib"; readonly result: string; readonly flags: readonly string[] }
  | { readonly kind: "numgen"; readonly mode: string; readonly modulus: number; readonly offset: number }
  | { readonly kind: "jhash"; readonly modulus: number; readonly seed?: number; readonly of: Operand }
  | { readonly kind: "bitwise"; readonly op: "&" | "|" | "^" | "<<" | ">>"; readonly operands: readonly Operand[] }
  | { readonly kind: "map"; readonly key: Operand; readonly data: Operand }
  | { readonly kind: "raw"; readonly json: unknown };

type Json = Readonly<Record<string, unknown>>;

export function isJsonObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function asList(value: unknown): readonly unknown[] {
  if (value === undefined || value === null) return [];
  return Array.isArray(value) ? value : [value];
}

function strings(value: unknown): string[] {
  return asList(value).filter((item) => typeof item === "string");
}

/** The one `{name: body}` pair that each statement and expression is. */
function single(json: unknown): [name: string, body: unknown] | undefined {
  if (!isJsonObject(json)) return undefined;
  const entries = Object.entries(json);
  return entries.length === 1 ? entries[0] : undefined;
}

/** The fields of each statement that this parser knows; one with another field is one it does not know. */
const STATEMENT_FIELDS: Readonly<Record<string, readonly string[]>> = {
  match: ["op", "left", "right"],
  vmap: ["key", "data"],
  snat: ["family", "addr", "port", "flags"],
  dnat: ["family", "addr", "port", "flags"],
  masquerade: ["port", "flags"],
  reject: ["type", "expr"],
  mangle: ["key", "value"],
  counter: ["packets", "bytes"],
};

export function parseStatement(json: unknown): Statement {
  const [name = "", body] = single(json) ?? [];
  const verdict = parseVerdict(json);
  if (verdict) return { kind: "verdict", verdict };
  const fields: Json | undefined = isJsonObject(body) ? body : body === null ? {} : undefined;
  const isKnown = fields && Object.keys(fields).every((field) => STATEMENT_FIELDS[name]?.includes(field));
  return (isKnown && parseKnown(name, fields)) || { kind: "raw", json };
}

function parseKnown(name: string, f: Json): Statement | undefined {
  const operand = <K extends string>(field: string, as: K): { [key in K]?: Operand } =>
    f[field] === undefined ? {} : ({ [as]: parseOperand(f[field]) } as { [key in K]?: Operand });
  switch (name) {
    case "match":
      if (typeof f.op !== "string") return undefined;
      return { kind: "match", op: f.op, left: parseOperand(f.left), right: parseOperand(f.right) };
    case "vmap":
      return { kind: "vmap", key: parseOperand(f.key), data: parseOperand(f.data) };
    case "snat":
    case "dnat":
      return { kind: name, ...operand("addr", "address"), ...operand("port", "port"), flags: strings(f.flags) };
    case "masquerade":
      return { kind: "masquerade", ...operand("port", "port"), flags: strings(f.flags) };
    case "reject":
      return {
        kind: "reject",
        ...(typeof f.type === "string" ? { type: f.type } : {}),
        ...(typeof f.expr === "string" ? { expression: f.expr } : {}),
      };
    case "mangle":
      return { kind: "mangle", key: parseOperand(f.key), value: parseOperand(f.value) };
    case "counter":
      if (typeof f.packets !== "number" || typeof f.bytes !== "number") return undefined;
      return { kind: "counter", packets: f.packets, bytes: f.bytes };
    default:
      return undefined;
  }
}

export function parseVerdict(json: unknown): Verdict | undefined {
  const [name, body] = single(json) ?? [];
  switch (name) {
    case "accept":
    case "drop":
    case "return":
    case "continue":
      return { verdict: name };
    case "jump":
    case "goto":
      return isJsonObject(body) && typeof body.target === "string" ? { verdict: name, chain: body.target } : undefined;
    default:
      return undefined;
  }
}

export function parseOperand(json: unknown): Operand {
  if (typeof json === "number") return { kind: "value", value: json };
  if (typeof json === "string")
    return json.startsWith("@") ? { kind: "named-set", name: json.slice(1) } : { kind: "value", value: json };
  if (Array.isArray(json)) return { kind: "list", items: json.map(parseOperand) };
  const [name, body] = single(json) ?? [];
  return (isJsonObject(body) ? parseFields(name, body) : parseParts(name, asList(body))) ?? { kind: "raw", json };
}

function parseParts(name: string | undefined, parts: readonly unknown[]): Operand | undefined {
  switch (name) {
    case "concat":
      return { kind: "concat", parts: parts.map(parseOperand) };
    case "set":
      return parts.every(isPair)
        ? { kind: "mappings", entries: parts.map(([key, value]) => [parseOperand(key), parseMapped(value)]) }
        : { kind: "list", items: parts.map(parseOperand) };
    case "range":
      return parts.length === 2
        ? { kind: "range", from: parseOperand(parts[0]), to: parseOperand(parts[1]) }
        : undefined;
    case "&":
    case "|":
    case "^":
    case "<<":
    case ">>":
      return { kind: "bitwise", op: name, operands: parts.map(parseOperand) };
    default:
      return undefined;
  }
}

function isPair(value: unknown): value is readonly [unknown, unknown] {
  return Array.isArray(value) && value.length === 2;
}

function parseMapped(value: unknown): Operand | Verdict {
  return parseVerdict(value) ?? parseOperand(value);
}

function parseFields(name: string | undefined, f: Json): Operand | undefined {
  switch (name) {
    case "prefix":
      if (typeof f.addr !== "string" || typeof f.len !== "number") return undefined;
      return { kind: "prefix", address: f.addr, length: f.len };
    case "payload":
      if (typeof f.protocol !== "string" || typeof f.field !== "string") return undefined;
      return { kind: "payload", protocol: f.protocol, field: f.field };
    case "meta":
      return typeof f.key === "string" ? { kind: "meta", key: f.key } : undefined;
    case "ct":
      if (typeof f.key !== "string") return undefined;
      return { kind: "ct", key: f.key, ...(typeof f.dir === "string" ? { direction: f.dir } : {}) };
    case "fib":
      return typeof f.result === "string" ? { kind: "fib", result: f.result, flags: strings(f.flags) } : undefined;
    case "numgen":
      if (typeof f.mode !== "string" || typeof f.mod !== "number") return undefined;
      return { kind: "numgen", mode: f.mode, modulus: f.mod, offset: typeof f.offset === "number" ? f.offset : 0 };
    case "jhash":
      if (typeof f.mod !== "number") return undefined;
      return {
        kind: "jhash",
        modulus: f.mod,
        ...(typeof f.seed === "number" ? { seed: f.seed } : {}),
        of: parseOperand(f.expr),
      };
    case "map":
      return { kind: "map", key: parseOperand(f.key), data: parseOperand(f.data) };
    default:
      return undefined;
  }
}

// JSON as Go's encoding/json reads and writes it, which is what Flannel's side of the store does.
import { FlannelError } from "./errors.ts";

export type JsonValue = string | number | boolean | null | readonly JsonValue[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: JsonValue;
}

const MAX_DEPTH = 100;
const MAX_SHOWN = 60;

/** @throws {FlannelError} unless `text` is one JSON object, nested no deeper than anything of Flannel's */
export function parseObject(text: string, what: string): JsonObject {
  let value: JsonValue;
  try {
    value = JSON.parse(text) as JsonValue;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new FlannelError(what, "", `it is not valid JSON: ${why}. It reads ${show(text)}`);
  }
  if (!isObject(value)) throw new FlannelError(what, "", `it must be a JSON object {…}, not ${show(text)}`);
  if (depth(value) > MAX_DEPTH) throw new FlannelError(what, "", `it is nested deeper than ${MAX_DEPTH} levels`);
  return value;
}

export function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Typed access to an object's fields by name in any case, the last of equal names winning; null is "not given". */
export class Fields {
  readonly what: string;
  readonly #values = new Map<string, JsonValue>();

  constructor(object: JsonObject, what: string) {
    this.what = what;
    for (const [name, value] of Object.entries(object)) this.#values.set(name.toLowerCase(), value);
  }

  raw(name: string): JsonValue | undefined {
    return this.#values.get(name.toLowerCase());
  }

  string(name: string): string | undefined {
    const value = this.raw(name) ?? undefined;
    if (value === undefined || typeof value === "string") return value;
    return this.fail(name, `must be a string in quotes, not ${show(JSON.stringify(value))}`);
  }

  boolean(name: string): boolean | undefined {
    const value = this.raw(name) ?? undefined;
    if (value === undefined || typeof value === "boolean") return value;
    return this.fail(name, `must be true or false, not ${show(JSON.stringify(value))}`);
  }

  integer(name: string, min: number, max: number): number | undefined {
    const value = this.raw(name) ?? undefined;
    if (value === undefined) return undefined;
    if (typeof value === "number" && Number.isInteger(value) && value >= min && value <= max) return value;
    return this.fail(name, `must be a whole number from ${min} to ${max}, not ${show(JSON.stringify(value))}`);
  }

  /** Reads a string with `parse`, whose error becomes the reason. */
  parsed<T>(name: string, parse: (text: string) => T): T | undefined {
    const text = this.string(name);
    if (text === undefined) return undefined;
    try {
      return parse(text);
    } catch (error) {
      return this.fail(name, `is wrong: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  fail(name: string, why: string): never {
    throw new FlannelError(this.what, name, why);
  }
}

/** As Go's json.Marshal: no white space, and `<`, `>`, `&`, U+2028, U+2029 escaped besides what JSON demands. */
export function formatGoJson(value: JsonValue): string {
  return JSON.stringify(value).replace(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** A piece of foreign text, short and on one line, for an error message. */
export function show(text: string): string {
  return JSON.stringify(text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text);
}

function depth(value: JsonValue): number {
  // A stack of our own: the text's author chooses how deep it goes.
  let deepest = 0;
  const stack: [JsonValue, number][] = [[value, 1]];
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    const [item, level] = top;
    deepest = Math.max(deepest, level);
    if (typeof item === "object" && item !== null)
      for (const child of Object.values(item)) stack.push([child, level + 1]);
  }
  return deepest;
}

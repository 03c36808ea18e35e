// Runtimes and users write keys in any case: the reference plugins are Go, whose decoder does not mind.
// containerd sends `HostPort`, podman `hostPort`. So every key is looked up here, and nowhere by `object.key`.
import { CNI_ERROR, CniError } from "./errors.ts";

export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: Json | undefined;
}

/** @throws {CniError} code 6 unless `text` is one JSON object */
export function parseJsonObject(text: string, what: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const why = text.trim() === "" ? "it is empty" : cause instanceof Error ? cause.message : String(cause);
    throw new CniError(CNI_ERROR.decoding, `Cannot decode ${what}: ${why}`, { cause });
  }
  if (!isObject(value)) throw new CniError(CNI_ERROR.decoding, `Cannot decode ${what}: want a JSON object`);
  return value;
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The value under `key`, whatever its case; the last of several wins, and null is absent, as in Go. */
export function field(object: JsonObject, key: string): Json | undefined {
  const wanted = key.toLowerCase();
  let found: Json | undefined;
  for (const name of Object.keys(object))
    if (name === key || (name.length === key.length && name.toLowerCase() === wanted)) found = object[name] ?? found;
  return found;
}

/** The same object without `keys` in any case. */
export function withoutFields(object: JsonObject, keys: readonly string[]): JsonObject {
  const dropped = new Set(keys.map((key) => key.toLowerCase()));
  return Object.fromEntries(Object.entries(object).filter(([name]) => !dropped.has(name.toLowerCase())));
}

/** `object` with `fields` set: the other spellings of their keys go, so that no reader sees the old value. */
export function withFields(object: JsonObject, fields: JsonObject): JsonObject {
  return { ...withoutFields(object, Object.keys(fields)), ...fields };
}

function wrongType(key: string, want: string, value: Json): never {
  throw new CniError(
    CNI_ERROR.invalidNetworkConfig,
    `Cannot read network configuration: ${JSON.stringify(key)} must be ${want}, not ${JSON.stringify(value)}`,
  );
}

export function stringField(object: JsonObject, key: string): string | undefined {
  const value = field(object, key);
  if (value === undefined || typeof value === "string") return value;
  return wrongType(key, "a string", value);
}

export function booleanField(object: JsonObject, key: string): boolean | undefined {
  const value = field(object, key);
  if (value === undefined || typeof value === "boolean") return value;
  return wrongType(key, "true or false", value);
}

export function integerField(object: JsonObject, key: string): number | undefined {
  const value = field(object, key);
  if (value === undefined || (typeof value === "number" && Number.isSafeInteger(value))) return value;
  return wrongType(key, "an integer", value);
}

export function objectField(object: JsonObject, key: string): JsonObject | undefined {
  const value = field(object, key);
  if (value === undefined || isObject(value)) return value;
  return wrongType(key, "an object", value);
}

export function arrayField(object: JsonObject, key: string): readonly Json[] | undefined {
  const value = field(object, key);
  if (value === undefined || Array.isArray(value)) return value;
  return wrongType(key, "an array", value);
}

export function objectsField(object: JsonObject, key: string): readonly JsonObject[] | undefined {
  return arrayField(object, key)?.map((item) => (isObject(item) ? item : wrongType(key, "an array of objects", item)));
}

export function stringsField(object: JsonObject, key: string): readonly string[] | undefined {
  return arrayField(object, key)?.map((item) =>
    typeof item === "string" ? item : wrongType(key, "an array of strings", item),
  );
}

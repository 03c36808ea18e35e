import assert from "node:assert/strict";
import { test } from "node:test";
import type { KeyValue } from "../store/index.ts";
import { StoredObjects } from "./objects.ts";

const PREFIX = "/podpath/services";

function keyValue(name: string, valueText: string): KeyValue {
  const value = new TextEncoder().encode(valueText);
  const numbers = { createRevision: 2n, modRevision: 2n, version: 1n, lease: 0n };
  return { key: `${PREFIX}/specs/default/${name}`, value, valueText, ...numbers };
}

test("StoredObjects passes over whatever stands in the store, and tells of each bad value once", () => {
  const deep = `{"kind":${"[".repeat(200_000)}${"]".repeat(200_000)}}`;
  const values = { deep, json: "{", number: "7", null: "null", kind: '{"kind":"Secret"}' };
  const kvs = Object.entries(values).map(([name, text]) => keyValue(name, text));
  const told: string[] = [];
  const objects = new StoredObjects(PREFIX, (key) => told.push(key));
  for (let i = 0; i < 2; i++) objects.take({ type: "snapshot", revision: 2n, kvs });
  const keys = kvs.map(({ key }) => key);
  assert.deepEqual(told, keys);
  assert.deepEqual([...objects.bad.keys()], keys);
  assert.deepEqual(objects.services, []);
});

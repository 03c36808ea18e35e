import assert from "node:assert/strict";
import { test } from "node:test";
import { remembered, rememberedText } from "./remember.ts";

test("remembered() asks once for an object, also when the answer is undefined, and again after an error", () => {
  const asked: object[] = [];
  const f = remembered((key: { readonly fails?: boolean }) => {
    asked.push(key);
    if (key.fails && asked.length < 4) throw new Error("not yet");
    return undefined;
  });
  const [a, b, c] = [{}, {}, { fails: true }];
  for (const key of [a, b, a, b]) assert.equal(f(key), undefined);
  assert.deepEqual(asked, [a, b]);
  assert.throws(() => f(c), /not yet/);
  assert.equal(f(c), undefined);
  assert.equal(asked.length, 4);
});

test("rememberedText() gives one object for one text, forgets the oldest, and keeps no long ones", () => {
  const f = rememberedText((text) => ({ text }));
  const first = f("0");
  assert.equal(f("0"), first);
  for (let i = 1; i <= 8; i++) f(String(i));
  assert.notEqual(f("0"), first);
  assert.equal(f("8"), f("8"));
  const long = "x".repeat(20_000);
  assert.notEqual(f(long), f(long));
  assert.deepEqual(f(long), { text: long });
});

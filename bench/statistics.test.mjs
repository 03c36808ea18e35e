import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { median, quantile, ratioOfMedians } from "./statistics.mjs";

const samples = fc.array(fc.double({ min: 0.001, max: 1000, noNaN: true }), { minLength: 1, maxLength: 40 });

test("median() is the middle sample, or halfway between the two in the middle, in any order", () => {
  assert.equal(median([30, 10, 20]), 20);
  assert.equal(median([40, 10, 30, 20]), 25);
  assert.equal(median([7]), 7);
});

test("median() sorts by number, not by text, and leaves its argument alone", () => {
  const given = [100, 9, 20];
  assert.equal(median(given), 20);
  assert.deepEqual(given, [100, 9, 20]);
});

test("quantile() of 0 and 1 are the extremes, and between two samples it is interpolated", () => {
  assert.equal(quantile([3, 1, 2], 0), 1);
  assert.equal(quantile([3, 1, 2], 1), 3);
  assert.equal(quantile([0, 10], 0.99), 9.9);
});

test("quantile() never leaves the samples' range and grows with q", () => {
  fc.assert(
    fc.property(samples, fc.double({ min: 0, max: 1, noNaN: true }), (given, q) => {
      const value = quantile(given, q);
      assert.ok(value >= Math.min(...given) && value <= Math.max(...given));
      assert.ok(quantile(given, q / 2) <= value);
    }),
  );
});

test("quantile() of nothing is an error", () => {
  assert.throws(() => median([]), RangeError);
});

test("ratioOfMedians() of samples to themselves is 1 exactly, however they scatter", () => {
  assert.deepEqual(ratioOfMedians([5, 1, 9, 3], [5, 1, 9, 3]), { ratio: 1, low: 1, high: 1 });
});

test("ratioOfMedians() pairs the rounds: a machine that is slow in half of them does not widen the interval", () => {
  const reference = [10, 100, 11, 90, 12, 95, 10, 105, 11];
  const interval = ratioOfMedians(
    reference.map((value) => value / 2),
    reference,
  );
  assert.deepEqual(interval, { ratio: 0.5, low: 0.5, high: 0.5 });
});

test("ratioOfMedians() puts the interval around the ratio, wider for samples that scatter more", () => {
  const reference = Array.from({ length: 9 }, () => 100);
  const scattered = (by) => [0, 1, -1, 2, -2, 3, -3, 4, -4].map((step) => 50 + by * step);
  const narrow = ratioOfMedians(scattered(1), reference);
  const wide = ratioOfMedians(scattered(5), reference);
  for (const { ratio, low, high } of [narrow, wide]) {
    assert.equal(ratio, 0.5);
    assert.ok(low < ratio && ratio < high);
  }
  assert.ok(wide.high - wide.low > narrow.high - narrow.low);
});

test("ratioOfMedians() gives the same interval for the same samples", () => {
  fc.assert(
    fc.property(samples, (given) => {
      const reversed = given.toReversed();
      assert.deepEqual(ratioOfMedians(given, reversed), ratioOfMedians(given, reversed));
    }),
    { numRuns: 10 },
  );
});

test("ratioOfMedians() refuses samples that cannot be paired", () => {
  assert.throws(() => ratioOfMedians([1, 2], [1]), /Cannot pair 2 samples with 1/);
});

// Medians, quantiles and the bootstrap. Pure, and seeded: the same samples always give the same interval.

/** The `q`-quantile, between the two nearest samples when it falls between them. @param {readonly number[]} samples */
export function quantile(samples, q) {
  if (samples.length === 0) throw new RangeError("Cannot take a quantile of no samples");
  const sorted = Float64Array.from(samples).sort();
  const place = q * (sorted.length - 1);
  const below = Math.floor(place);
  const above = Math.min(below + 1, sorted.length - 1);
  // Rounding could carry the sum past the upper neighbour.
  return Math.min(sorted[above], sorted[below] + (place - below) * (sorted[above] - sorted[below]));
}

/** @param {readonly number[]} samples */
export function median(samples) {
  return quantile(samples, 0.5);
}

const RESAMPLES = 2000;

/**
 * The ratio of two medians with its 95 % bootstrap interval (percentile method).
 *
 * Sample i of both was taken in the same round, moments apart, so whole rounds are drawn: what slowed the machine down
 * in a round slowed both and must not widen the interval.
 *
 * @param {readonly number[]} samples @param {readonly number[]} reference
 * @returns {{ ratio: number, low: number, high: number }}
 */
export function ratioOfMedians(samples, reference, seed = 1) {
  if (samples.length !== reference.length)
    throw new RangeError(`Cannot pair ${samples.length} samples with ${reference.length}`);
  const random = mulberry32(seed);
  const ratios = Array.from({ length: RESAMPLES }, () => {
    const rounds = samples.map(() => Math.floor(random() * samples.length));
    return median(rounds.map((round) => samples[round])) / median(rounds.map((round) => reference[round]));
  });
  return {
    ratio: median(samples) / median(reference),
    low: quantile(ratios, 0.025),
    high: quantile(ratios, 0.975),
  };
}

/** Tommy Ettinger's mulberry32: a small generator of numbers in [0, 1) that can be seeded, which Math.random cannot. */
function mulberry32(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

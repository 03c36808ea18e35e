import { addToIp, type IpAddress, ipFromBigInt, ipToBigInt, prefixFamily } from "../../formats/netip/index.ts";
import { type Range, type RangeSet, rangeContains } from "./range.ts";

export interface Candidate {
  readonly ip: IpAddress;
  readonly range: Range;
}

/**
 * Every address of the set once, gateways left out, in the order in which the reference tries them: from the one after
 * `last` (when that is in the set), round through all ranges, up to `last` itself.
 */
export function* candidates(set: RangeSet, last: IpAddress | undefined): Generator<Candidate, void, undefined> {
  const at = last === undefined ? -1 : set.findIndex((range) => rangeContains(range, last));
  const current = set[at];
  if (current === undefined || last === undefined) {
    for (const range of set) yield* span(range, range.rangeStart, range.rangeEnd);
    return;
  }
  if (last !== current.rangeEnd) yield* span(current, addToIp(last, 1), current.rangeEnd);
  for (const range of [...set.slice(at + 1), ...set.slice(0, at)]) yield* span(range, range.rangeStart, range.rangeEnd);
  yield* span(current, current.rangeStart, last);
}

function* span(range: Range, from: IpAddress, to: IpAddress): Generator<Candidate, void, undefined> {
  const end = ipToBigInt(to);
  const family = prefixFamily(range.subnet);
  for (let n = ipToBigInt(from); n <= end; n++) {
    const ip = ipFromBigInt(n, family);
    if (ip !== range.gateway) yield { ip, range };
  }
}

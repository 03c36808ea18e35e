// An endpoint is chosen by drawing a slot, 0 to n-1, and looking the slot up in a map. A chain draws among a fixed
// number of slots, so there is one chain for each number in SLOT_CLASSES, whatever the number of Services.
import type { Service } from "../formats/kubernetes/index.ts";
import type { Target } from "./endpoints.ts";

export type Affinity = Service["spec"]["sessionAffinity"];

/** Exact up to 8; above, the next power of two, over which the endpoints are dealt round: some have one slot more. */
export const SLOT_CLASSES = [1, 2, 3, 4, 5, 6, 7, 8, 16, 32, 64, 128, 256] as const;
/** With ClientIP affinity: many slots for few endpoints, so that few clients move when an endpoint comes or goes. */
export const AFFINITY_SLOT_CLASSES = [64, 256] as const;
/** The most endpoints one service port is spread over. */
export const MAX_TARGETS = 256;

/** Which target each slot stands for; the length is one of the classes. Empty for no targets. */
export function dealSlots(targets: readonly Target[], affinity: Affinity): Target[] {
  const used = targets.slice(0, MAX_TARGETS);
  if (used.length === 0) return [];
  if (affinity === "ClientIP") {
    const slots = used.length <= 16 ? AFFINITY_SLOT_CLASSES[0] : AFFINITY_SLOT_CLASSES[1];
    return Array.from({ length: slots }, (_, slot) => highest(used, slot));
  }
  const slots = SLOT_CLASSES.find((size) => size >= used.length) ?? MAX_TARGETS;
  return Array.from({ length: slots }, (_, slot) => used[slot % used.length] ?? highest(used, slot));
}

/** Rendezvous hashing: each slot goes to the target that scores highest there, so a target that goes moves only its own. */
function highest(targets: readonly Target[], slot: number): Target {
  return targets.reduce((best, target) => (score(target, slot) > score(best, slot) ? target : best));
}

function score({ ip, port }: Target, slot: number): number {
  let hash = 0x811c9dc5;
  for (const character of `${ip} ${port} ${slot}`) hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193);
  // FNV-1a leaves neighbouring texts near each other; murmur3's finalizer spreads them.
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

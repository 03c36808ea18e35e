import { setFlagsFromString } from "node:v8";

/**
 * Lets V8 prefer memory to speed, as a daemon that mostly waits should. Once the start is over, which would collect
 * garbage all the time with so little room. Left alone, the young generation stays at 2 × 16 MiB: 130 MB with 1,000 leases,
 * against 80.
 */
export function preferSmallHeap(): void {
  for (const flag of ["--optimize-for-size", "--max-semi-space-size=1"]) setFlagsFromString(flag);
}

import { check, clockGettime } from "./sys.ts";

/** include/uapi/linux/time.h */
export const CLOCKS = { realtime: 0, mono: 1, boot: 7, tai: 11 } as const;

/** A clock of the kernel, in nanoseconds. CLOCK_REALTIME's count from 1970. */
export function clockNs(clock: keyof typeof CLOCKS): bigint {
  const time = new Uint8Array(16);
  check(clockGettime(CLOCKS[clock], time), "read the clock", clock);
  const view = new DataView(time.buffer);
  return view.getBigInt64(0, true) * 1_000_000_000n + view.getBigInt64(8, true);
}

/** What to add to a time of `clock` to get CLOCK_REALTIME, right to about the duration of a system call. */
export function toRealtimeNs(clock: keyof typeof CLOCKS): bigint {
  let best: { width: bigint; offset: bigint } | undefined;
  for (let i = 0; i < 5; i++) {
    const before = clockNs("realtime");
    const there = clockNs(clock);
    const width = clockNs("realtime") - before;
    if (!best || width < best.width) best = { width, offset: before + width / 2n - there };
  }
  return best?.offset ?? 0n;
}

import type { Traffic } from "../../backend.ts";

/** What the forwarder did with every packet it was given. */
export class Counters {
  txPackets = 0;
  txBytes = 0;
  rxPackets = 0;
  rxBytes = 0;
  readonly #drops = new Map<string, number>();

  /** @param reason `tx-…` on the way into the tunnel, `rx-…` out of it */
  drop(reason: string, packets = 1): void {
    this.#drops.set(reason, (this.#drops.get(reason) ?? 0) + packets);
  }

  /** For a reason that somebody else counts. */
  setDrops(reason: string, packets: number): void {
    if (packets > 0) this.#drops.set(reason, packets);
  }

  /** Changes with every count. */
  get sum(): number {
    let drops = 0;
    for (const packets of this.#drops.values()) drops += packets;
    return this.txPackets + this.rxPackets + drops;
  }

  traffic(): Traffic {
    return {
      packets: { tx: this.txPackets, rx: this.rxPackets },
      bytes: { tx: this.txBytes, rx: this.rxBytes },
      drops: Object.fromEntries([...this.#drops].sort(([a], [b]) => (a < b ? -1 : 1))),
    };
  }
}

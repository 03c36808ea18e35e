import { toCniError } from "../formats/cni/index.ts";
import type { NftWatchScope } from "../kernel/index.ts";
import type { Host } from "./host.ts";
import { PLUGINS } from "./registry.ts";
import { isLive, listRecords } from "./rules/records.ts";

export interface RuleKeeperOptions {
  readonly log: (level: "warn" | "error", line: string) => void;
  /** How long to wait between two looks when nothing tells of a change. */
  readonly periodMs?: number;
}

const PERIOD_MS = 30_000;
/** A repair that failed is tried again after a second, then after 2, 4, 8 and each further 16. */
const RETRY_MS = { first: 1000, last: 16_000 } as const;

/**
 * Makes the rules of living containers again when somebody else took them away: a firewall's reload, `nft flush
 * ruleset`, `iptables -F`. What is wanted is in the records; on a node without any this does nothing at all.
 */
export class RuleKeeper implements Disposable {
  readonly #host: Host;
  readonly #options: RuleKeeperOptions;
  #watch: Disposable | undefined;
  #timer: NodeJS.Timeout | undefined;
  #failures = 0;
  #isDue = false;
  #isRunning = false;
  #isClosed = false;

  constructor(host: Host, options: RuleKeeperOptions) {
    this.#host = host;
    this.#options = options;
    host.rules.onAdded = () => this.#begin();
  }

  /** One look at everything; never throws. The first is due when the process starts: rules may have gone before. */
  async pass(): Promise<void> {
    if (this.#isClosed) return;
    // One after the other: what is heard of during a pass is looked at after it.
    this.#isDue = true;
    if (this.#isRunning) return;
    this.#isRunning = true;
    try {
      while (this.#isDue) {
        this.#isDue = false;
        await this.#look();
      }
    } finally {
      this.#isRunning = false;
    }
  }

  async #look(): Promise<void> {
    clearTimeout(this.#timer);
    const { log, periodMs = PERIOD_MS } = this.#options;
    let nextMs = periodMs;
    try {
      const wanted = listRecords((line) => log("warn", line)).flatMap((record) => {
        const maker = PLUGINS.get(record.plugin)?.rules;
        return maker && isLive(record) ? [[maker, record] as const] : [];
      });
      if (wanted.length > 0) this.#begin();
      const restored = await this.#host.rules.ensure(wanted);
      if (restored.length > 0) {
        const whose = restored.map(({ plugin, containerId }) => `${plugin} of ${containerId}`);
        log("warn", `somebody else had removed firewall rules of containers; restored ${whose.join(", ")}`);
      }
      this.#failures = 0;
    } catch (e) {
      nextMs = Math.min(RETRY_MS.first * 2 ** this.#failures++, RETRY_MS.last);
      log("error", `cannot restore the firewall rules of containers: ${toCniError(e).message}`);
    }
    if (this.#isClosed) return;
    this.#timer = setTimeout(() => void this.pass(), nextMs);
    this.#timer.unref();
  }

  /** Notifications cost something with each change anybody makes to the ruleset: only with the first rules to keep. */
  #begin(): void {
    if (this.#isClosed) return;
    this.#watch ??= this.#host.rules.nft.watch(() => void this.pass(), tables());
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#watch?.[Symbol.dispose]();
    this.#watch = undefined;
  }
}

/** Every table that a plugin's rules may be in. */
function tables(): NftWatchScope[] {
  const nobody = { network: "", containerId: "", ifName: "" };
  return [...PLUGINS.values()]
    .flatMap(({ rules }) => (rules ? [rules.traces(nobody)] : []))
    .flatMap(({ nft, iptables = [] }): NftWatchScope[] => [
      ...nft.map(({ family, table }) => ({ family, table })),
      // iptables of the nft variant; a legacy one tells nobody, and is looked at now and then.
      ...iptables.map(({ family, table }): NftWatchScope => ({ family: family === 4 ? "ip" : "ip6", table })),
    ]);
}

import type { IpFamily } from "../formats/netip/index.ts";
import type { Iptables } from "../kernel/index.ts";
import { type MasqueradeConfig, networksOf } from "./config.ts";
import { planRestore } from "./iptables-plan.ts";
import { wantedChains } from "./iptables-rules.ts";
import type { Log, Masquerade } from "./masquerade.ts";

/** The part of Iptables that is needed here. */
export type IptablesDoor = Pick<Iptables, "family" | "save" | "restore">;

export interface IptablesMasqueradeOptions {
  /** One for each family of `config`. */
  readonly doors: readonly IptablesDoor[];
  readonly config: MasqueradeConfig;
  readonly log: Log;
  /** Flannel's --iptables-resync. */
  readonly resyncMs: number;
  /** Calls back when somebody changes the tables, where the kernel tells: iptables that is nf_tables underneath. */
  readonly watchTables?: ((onChange: () => void) => Disposable) | undefined;
  /** Called after each repair of what somebody else had changed. */
  readonly onRestored?: (() => void) | undefined;
}

/** So long at least from one look that a change led to, to the next: kube-proxy may change the tables all the time. */
const EVENT_INTERVAL_MS = 1000;

/**
 * Flannel's rules in iptables' tables. One iptables-save a family tells whether all is as it should be; when it is not,
 * one iptables-restore makes it so, and another save is the proof.
 */
export class IptablesMasquerade implements Masquerade {
  readonly mode = "iptables";
  readonly #options: IptablesMasqueradeOptions;
  #isInPlace = false;
  #isWatching = false;
  #tables: Disposable | undefined;
  #timer: NodeJS.Timeout | undefined;
  #dueAt = Number.POSITIVE_INFINITY;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #looking: Promise<boolean> | undefined;
  #failures = 0;

  constructor(options: IptablesMasqueradeOptions) {
    const missing = networksOf(options.config).find(
      ({ family }) => !options.doors.some((door) => door.family === family),
    );
    if (missing) throw new RangeError(`No iptables for IPv${missing.family}, which the config has`);
    this.#options = options;
  }

  isInPlace(): boolean {
    return this.#isInPlace;
  }

  /** @throws {IptablesError} @throws {IptablesFormatError} */
  async ensure(): Promise<boolean> {
    // One at a time: what another saw may be what this one is changing.
    while (this.#looking !== undefined) await this.#looking.catch(() => {});
    this.#looking = this.#ensureAll();
    try {
      const wrote = await this.#looking;
      this.#isInPlace = true;
      return wrote;
    } catch (error) {
      this.#isInPlace = false;
      throw error;
    } finally {
      this.#looking = undefined;
      this.#lookedAt = performance.now();
    }
  }

  async #ensureAll(): Promise<boolean> {
    let wrote = false;
    for (const door of this.#options.doors) wrote = (await ensureRules(door, this.#options.config)) || wrote;
    return wrote;
  }

  /** @throws {IptablesError} @throws {IptablesFormatError} when the first ensure() fails */
  async watch(): Promise<Disposable> {
    // First, so that no change after the first look goes unheard.
    this.#tables = this.#options.watchTables?.(() => this.#changed());
    this.#isWatching = true;
    try {
      await this.ensure();
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
    this.#schedule(this.#options.resyncMs);
    return { [Symbol.dispose]: () => this[Symbol.dispose]() };
  }

  [Symbol.dispose](): void {
    this.#isWatching = false;
    clearTimeout(this.#timer);
    this.#dueAt = Number.POSITIVE_INFINITY;
    this.#tables?.[Symbol.dispose]();
    this.#tables = undefined;
  }

  /** Whether there is any rule or chain of ours, or of a Flannel. @throws {IptablesError} */
  async hasAny(): Promise<boolean> {
    for (const door of this.#options.doors) if (planRestore(await door.save(), []) !== "") return true;
    return false;
  }

  /** Stops watching and removes every rule of ours. @throws {IptablesError} */
  async cleanup(): Promise<void> {
    this[Symbol.dispose]();
    while (this.#looking !== undefined) await this.#looking.catch(() => {});
    this.#isInPlace = false;
    for (const door of this.#options.doors) {
      const text = planRestore(await door.save(), []);
      if (text !== "") await door.restore(text);
    }
  }

  #changed(): void {
    this.#schedule(Math.max(0, this.#lookedAt + EVENT_INTERVAL_MS - performance.now()));
  }

  /** Looks in `delayMs`, or earlier if that was asked for. */
  #schedule(delayMs: number): void {
    const at = performance.now() + delayMs;
    if (!this.#isWatching || at >= this.#dueAt) return;
    clearTimeout(this.#timer);
    this.#dueAt = at;
    this.#timer = setTimeout(() => void this.#look(), delayMs);
  }

  async #look(): Promise<void> {
    const { log, resyncMs, onRestored } = this.#options;
    this.#dueAt = Number.POSITIVE_INFINITY;
    try {
      if (await this.ensure()) {
        log.warn("masquerade rules in iptables had been changed by someone else; restored them");
        onRestored?.();
      }
      this.#failures = 0;
    } catch (error) {
      // Now, and then more and more seldom; it is tried again in every period.
      if (Number.isInteger(Math.log2(++this.#failures)))
        log.error({ err: error, attempts: this.#failures }, "cannot keep the masquerade rules in iptables");
    }
    this.#schedule(resyncMs);
  }
}

/** Returns whether it had to write. @throws {IptablesError} @throws {IptablesFormatError} */
async function ensureRules(door: IptablesDoor, config: MasqueradeConfig): Promise<boolean> {
  const wanted = wantedChains(config, door.family);
  const text = planRestore(await door.save(), wanted);
  if (text === "") return false;
  await door.restore(text);
  const rest = planRestore(await door.save(), wanted);
  if (rest !== "")
    throw new Error(
      `IPv${door.family} masquerade rules were written and are not there; does iptables-save list what ` +
        `iptables-restore changes? Still missing: ${rest.split("\n").slice(1, 3).join("; ")}`,
    );
  return true;
}

/** What is not as it should be, as the first lines that a restore would change; undefined when all is. */
export async function iptablesDrift(
  door: Pick<IptablesDoor, "save">,
  config: MasqueradeConfig,
  family: IpFamily,
): Promise<string | undefined> {
  const text = planRestore(await door.save(), wantedChains(config, family));
  return text === "" ? undefined : text.split("\n").slice(0, 3).join("; ");
}

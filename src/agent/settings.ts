import type { IpFamily } from "../formats/netip/index.ts";
import { messageOf } from "./errors.ts";
import type { Log } from "./log.ts";
import { ensureForwarding } from "./preflight.ts";

export interface SettingsOptions {
  readonly families: readonly IpFamily[];
  /** The external interface's name. */
  readonly device: string;
  /** Writes subnet.env unless it says the same already; whether it had to. */
  readonly writeSubnetFile: () => boolean;
  readonly log: Log;
}

/**
 * What the node needs besides devices, peers and rules, and what nobody announces a change of: forwarding, which a later
 * `sysctl --system` turns off, and subnet.env, without which no pod is made. Looked at in every pass.
 */
export class Settings {
  readonly #options: SettingsOptions;
  #said: string | undefined;

  constructor(options: SettingsOptions) {
    this.#options = options;
  }

  /** Does not throw: what cannot be set is said once, and tried again in the next pass. */
  keep(): void {
    const { families, device, writeSubnetFile, log } = this.#options;
    try {
      for (const family of families)
        if (ensureForwarding(family, device))
          log.warn({}, `forwarding of IPv${family} had been turned off by someone else; turned it on again`);
      if (writeSubnetFile()) log.warn({}, "the subnet file was missing, or said something else; wrote it again");
      this.#said = undefined;
    } catch (error) {
      const why = messageOf(error);
      if (why !== this.#said) log.error({ err: error }, why);
      this.#said = why;
    }
  }
}

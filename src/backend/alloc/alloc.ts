import type { LeaseAttrs } from "../../formats/flannel/index.ts";
import type { WantedState } from "../../host/index.ts";
import { familiesOf, publicAddresses, rangesOf } from "../addresses.ts";
import type { Backend, BackendOptions, ExternalInterface } from "../backend.ts";

/** Flannel's alloc backend: a subnet for this node and nothing more. Somebody else carries the packets. */
export class AllocBackend implements Backend {
  readonly type = "alloc";
  readonly deviceNames: readonly string[] = [];
  readonly #options: BackendOptions;

  constructor(options: BackendOptions) {
    this.#options = options;
  }

  mtuBytes(external: ExternalInterface): number {
    return external.mtuBytes;
  }

  leaseAttrs(external: ExternalInterface): LeaseAttrs {
    // Flannel leaves the type out of such a lease, so that no backend takes the node for a peer.
    return { backendType: "", ...publicAddresses(external, familiesOf(this.#options.network)) };
  }

  ensureDevices(): readonly string[] {
    return [];
  }

  findDevices(): readonly string[] {
    return [];
  }

  wanted(): WantedState {
    // The ranges make host take away the routes that another backend of ours left.
    return { devices: [], peers: [], ranges: rangesOf(this.#options.network) };
  }

  removeDevices(): void {}
}

import type { LeaseAttrs } from "../../formats/flannel/index.ts";
import type { ActualState, WantedState } from "../../host/index.ts";
import type { Lease } from "../../subnet/index.ts";
import type { Backend, BackendOptions, ExternalInterface } from "../backend.ts";

/** Flannel's vxlan backend. */
export class VxlanBackend implements Backend {
  readonly type = "vxlan";
  readonly deviceNames: readonly string[] = [];
  readonly #options: BackendOptions;

  constructor(options: BackendOptions) {
    this.#options = options;
  }

  mtuBytes(external: ExternalInterface): number {
    throw new Error(`not yet: ${external} ${this.#options}`);
  }

  leaseAttrs(external: ExternalInterface, leases: readonly Lease[]): LeaseAttrs {
    throw new Error(`not yet: ${external} ${leases}`);
  }

  ensureDevices(external: ExternalInterface, attrs: LeaseAttrs): readonly string[] {
    throw new Error(`not yet: ${external} ${attrs}`);
  }

  wanted(own: Lease, peers: readonly Lease[], external: ExternalInterface, actual: ActualState): WantedState {
    throw new Error(`not yet: ${own} ${peers} ${external} ${actual}`);
  }

  removeDevices(): void {
    throw new Error("not yet");
  }
}

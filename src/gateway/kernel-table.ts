import { networkInterfaces } from "node:os";
import type { BaseLogger } from "pino";
import { type IpAddress, type IpFamily, parseIp } from "../formats/netip/index.ts";
import type { ConntrackEntry } from "../formats/netlink/index.ts";
import { Conntrack, inNs, isNotFound, isUnsupported, type NetNs, type Nft } from "../kernel/index.ts";
import { placeOf } from "./layout.ts";
import type { GatewayState } from "./plan.ts";
import { gatewayRuleset, gatewayUpdate } from "./ruleset.ts";
import { staleUdpFlows } from "./udp.ts";

export interface KernelTableOptions {
  readonly nft: Pick<Nft, "apply" | "list">;
  /** The namespace that `nft` is of, when it is not this process's own. */
  readonly ns?: NetNs | undefined;
  readonly log: Pick<BaseLogger, "warn">;
  /** Default: that of `ns`. */
  readonly openConntrack?: () => Pick<Conntrack, "list" | "delete"> & Disposable;
}

/** `table <family> podpath-gateway` of one namespace, and what it is known to hold. */
export class KernelTable {
  readonly #nft: Pick<Nft, "apply" | "list">;
  readonly #ns: NetNs | undefined;
  readonly #log: Pick<BaseLogger, "warn">;
  readonly #openConntrack: () => Pick<Conntrack, "list" | "delete"> & Disposable;
  /** What the kernel holds; undefined when that is not known. */
  #held: GatewayState | undefined;
  /** What it held when stale flows were last forgotten: others of its Services may still be there. */
  #last: GatewayState | undefined;
  #saidMissing = false;

  constructor({ nft, ns, log, openConntrack = () => Conntrack.open(ns) }: KernelTableOptions) {
    this.#nft = nft;
    this.#ns = ns;
    this.#log = log;
    this.#openConntrack = openConntrack;
  }

  /** Whether there is such a table, ours or a predecessor's. @throws {NftError} */
  exists({ family }: GatewayState): boolean {
    const place = placeOf(family);
    try {
      this.#nft.list(`list chain ${place.family} ${place.table} services`);
      return true;
    } catch (error) {
      if (isNotFound(error)) return false;
      throw error;
    }
  }

  /** Somebody else wrote to the table: what it holds is not known any more. */
  forget(): void {
    this.#held = undefined;
  }

  /**
   * Makes the table hold `wanted`, in one transaction: the differences, or all of it when what it holds is not known.
   * Then forgets the flows that `wanted` would not have made; when that fails, the next writing tries it again.
   * @throws {NftError} and then nothing has changed
   * @throws {SyscallError} and then stale flows may be left
   */
  write(wanted: GatewayState): "full" | "partial" | "unchanged" {
    const held = this.#held;
    const text = held ? gatewayUpdate(held, wanted) : gatewayRuleset(wanted);
    if (text !== "") {
      // Until it has succeeded: after a failure the next writing is a full one.
      this.#held = undefined;
      this.#nft.apply(text);
    }
    this.#held = wanted;
    this.#forgetStaleFlows(wanted);
    return text === "" ? "unchanged" : held ? "partial" : "full";
  }

  #forgetStaleFlows(wanted: GatewayState): void {
    const local = new Set(localAddresses(this.#ns));
    const isStale = staleUdpFlows(this.#last, wanted, (ip) => local.has(ip));
    if (isStale) this.#forgetFlows(wanted.family, isStale);
    this.#last = wanted;
  }

  #forgetFlows(family: IpFamily, isStale: (entry: ConntrackEntry) => boolean): void {
    try {
      using conntrack = this.#openConntrack();
      for (const entry of conntrack.list(family, isStale)) conntrack.delete(entry);
    } catch (error) {
      if (!isUnsupported(error)) throw error;
      // The table is in force all the same, and no retry would find the kernel changed.
      if (!this.#saidMissing)
        this.#log.warn(
          { err: error },
          "UDP flows keep the endpoint they have, even one that is gone: load the kernel module nf_conntrack_netlink",
        );
      this.#saidMissing = true;
    }
  }
}

function localAddresses(ns: NetNs | undefined): IpAddress[] {
  const interfaces = ns ? inNs(ns, networkInterfaces) : networkInterfaces();
  return Object.values(interfaces).flatMap((addresses) => (addresses ?? []).map(({ address }) => parseIp(address)));
}

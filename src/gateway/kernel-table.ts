import { networkInterfaces } from "node:os";
import { type IpAddress, parseIp } from "../formats/netip/index.ts";
import { Conntrack, inNs, isNotFound, type NetNs, type Nft } from "../kernel/index.ts";
import { placeOf } from "./layout.ts";
import type { GatewayState } from "./plan.ts";
import { gatewayRuleset, gatewayUpdate } from "./ruleset.ts";
import { staleUdpFlows } from "./udp.ts";

/** `table <family> podpath-gateway` of one namespace, and what it is known to hold. */
export class KernelTable {
  readonly #nft: Nft;
  readonly #ns: NetNs | undefined;
  /** What the kernel holds; undefined when that is not known. */
  #held: GatewayState | undefined;
  /** What it held last: flows of its Services may still be there. */
  #last: GatewayState | undefined;

  constructor(nft: Nft, ns: NetNs | undefined) {
    this.#nft = nft;
    this.#ns = ns;
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
   * @throws {NftError} and then nothing has changed
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
    this.#last = wanted;
    if (!isStale) return;
    using conntrack = Conntrack.open(this.#ns);
    for (const entry of conntrack.list(wanted.family, isStale)) conntrack.delete(entry);
  }
}

function localAddresses(ns: NetNs | undefined): IpAddress[] {
  const interfaces = ns ? inNs(ns, networkInterfaces) : networkInterfaces();
  return Object.values(interfaces).flatMap((addresses) => (addresses ?? []).map(({ address }) => parseIp(address)));
}

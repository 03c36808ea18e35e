import { NetlinkError, type RtnlEvent } from "../kernel/index.ts";
import { carryOut, type ReconcileOptions, type ReconcileReport } from "./carry-out.ts";
import type { Plan } from "./change.ts";
import { Claims } from "./claims.ts";
import { Inventory } from "./inventory.ts";
import { peerName, planAll, planPeers } from "./plan.ts";
import { type HostRtnl, listHostInTurns } from "./reconcile.ts";
import type { ActualState, WantedPeer, WantedState } from "./state.ts";

/** What was wanted when everything was last planned, and since then. */
interface Settled {
  /** All but the peers, as text. */
  readonly rest: string;
  readonly claims: Claims;
  /** By key, those that are as wanted, to the best of our knowledge. */
  readonly peers: Map<string, WantedPeer>;
  /** Those that are not: the kernel refused them, or something stands in their place. */
  readonly unsettled: Map<string, WantedPeer>;
}

/**
 * Keeps a namespace as wanted, pass after pass. What it has found and done it remembers, so that a pass is about the
 * peers that are another object than last time, and costs as little among ten thousand as among ten. Whoever hears of
 * something that it does not know calls distrust(); then, and from time to time, everything is listed and planned anew.
 */
export class Reconciler {
  readonly #rtnl: HostRtnl;
  #inventory: Inventory | undefined;
  #settled: Settled | undefined;
  #listedAt = Number.NEGATIVE_INFINITY;
  #doubts = 0;
  #isDoubtful = false;

  constructor(rtnl: HostRtnl) {
    this.#rtnl = rtnl;
  }

  /** When everything was last listed, by performance.now(). */
  get listedAt(): number {
    return this.#listedAt;
  }

  /** What the namespace has. */
  async actual(): Promise<ActualState> {
    return this.#list();
  }

  /** Whether the event tells nothing new. */
  knows(event: RtnlEvent): boolean {
    return this.#inventory?.knows(event) ?? false;
  }

  /** What is known may be wrong. */
  distrust(): void {
    this.#doubts++;
    this.#inventory = undefined;
    this.#settled = undefined;
  }

  async reconcile(wanted: WantedState, options: ReconcileOptions = {}): Promise<ReconcileReport> {
    const is = await this.#list();
    const { plan, settled } = this.#plan(is, wanted);
    // Nothing that goes wrong from here on leaves a wrong belief behind.
    this.#settled = undefined;
    const skipped = new Set<string>();
    const skip: ReconcileOptions["skip"] =
      options.skip &&
      ((step) => {
        const isSkipped = options.skip?.(step) ?? false;
        if (isSkipped) skipped.add(step.of);
        return isSkipped;
      });
    const { applied, failures } = await carryOut(this.#rtnl, plan.steps, { ...(skip && { skip }) }, (change) =>
      is.apply(change),
    );
    for (const { of } of [...failures, ...plan.conflicts]) skipped.add(of);
    if (skipped.size > 0) unsettle(settled, skipped);
    // Somebody was faster than our listing, or the connection failed and nothing is known of anything.
    const isLost =
      this.#isDoubtful || failures.some(({ error }) => !(error instanceof NetlinkError) || error.code === "EEXIST");
    if (isLost || [...skipped].some((of) => !of.startsWith("peer "))) this.distrust();
    else if (this.#inventory === is) this.#settled = settled;
    return { applied, failures, conflicts: plan.conflicts };
  }

  async #list(): Promise<Inventory> {
    if (this.#inventory) return this.#inventory;
    const [at, doubts] = [performance.now(), this.#doubts];
    const inventory = new Inventory(await listHostInTurns(this.#rtnl));
    this.#listedAt = at;
    this.#inventory = inventory;
    // What was announced meanwhile may be in the listing or not: it serves for this pass, and not for the next.
    this.#isDoubtful = doubts !== this.#doubts;
    return inventory;
  }

  #plan(is: Inventory, wanted: WantedState): { plan: Plan; settled: Settled } {
    const { peers, ...others } = wanted;
    const rest = JSON.stringify(others);
    const settled = this.#settled;
    if (settled?.rest === rest) {
      const { now, before } = differences(settled, peers);
      const plan = planPeers(is, wanted, { claims: settled.claims, peers: now, before });
      if (plan) return { plan, settled };
    }
    const claims = new Claims();
    const plan = planAll(is, wanted, claims);
    return {
      plan,
      settled: { rest, claims, peers: new Map(peers.map((peer) => [peer.key, peer])), unsettled: new Map() },
    };
  }
}

/** The peers to look at, and what of them was wanted before; from then on all count as settled. */
function differences(
  { peers: known, unsettled }: Settled,
  wanted: readonly WantedPeer[],
): { now: WantedPeer[]; before: WantedPeer[] } {
  const now = wanted.filter((peer) => known.get(peer.key) !== peer);
  const before = [...now.flatMap(({ key }) => known.get(key) ?? []), ...unsettled.values()];
  // Unless as many are wanted as are known, somebody has gone.
  const isMissing = wanted.length - now.length + now.filter(({ key }) => known.has(key)).length < known.size;
  if (isMissing) {
    const keys = new Set(wanted.map(({ key }) => key));
    for (const [key, peer] of known)
      if (!keys.has(key)) {
        before.push(peer);
        known.delete(key);
      }
  }
  unsettled.clear();
  for (const peer of now) known.set(peer.key, peer);
  return { now, before };
}

function unsettle({ peers, unsettled }: Settled, names: ReadonlySet<string>): void {
  for (const name of names) {
    const key = name.slice(peerName({ key: "" }).length);
    const peer = peers.get(key);
    if (!peer || peerName(peer) !== name) continue;
    peers.delete(key);
    unsettled.set(key, peer);
  }
}

import type { Backend } from "../backend/index.ts";
import type { Prefix } from "../formats/netip/index.ts";
import type { Route, RtnlEvent } from "../formats/netlink/index.ts";
import {
  type Conflict,
  listHost,
  type ReconcileReport,
  Reconciler,
  RTPROT_PODPATH,
  type StepFailure,
} from "../host/index.ts";
import type { Rtnl } from "../kernel/index.ts";
import type { Lease } from "../subnet/index.ts";
import type { Log } from "./log.ts";
import type { Observer, PassCause } from "./observer.ts";
import type { PeerSet } from "./peer-set.ts";
import { Retries } from "./retries.ts";
import type { Drift } from "./status/drift.ts";
import { surveyDatapath } from "./status/survey.ts";
import { type Interest, isOfInterest, mayMatter } from "./triggers.ts";
import type { Underlay } from "./underlay.ts";

/** The whole of the node, as opposed to one of its peers, in retries and failures. */
const NODE = "this node";
/**
 * What was listed is believed for so many periods when nothing tells of a change: to list 1,000 peers takes 0.1 s of a
 * processor that was asleep, and the memory for it. The passes in between look at the devices, and at what a backend keeps
 * elsewhere.
 */
const PERIODS_A_LISTING = 10;
/**
 * So many repairs in a row make an argument with somebody who undoes them: each soon after the one before, and from then
 * on for as long as not much more time passes than we take for ourselves.
 */
const ARGUMENT = { repairs: 10, soonMs: 100, pauseMs: 1000, endMs: 2000 } as const;

export interface DatapathOptions {
  readonly rtnl: Rtnl;
  readonly backend: Backend;
  readonly underlay: Underlay;
  readonly peers: PeerSet;
  readonly own: Lease;
  readonly ranges: readonly Prefix[];
  /** Where packets end that no other route takes. */
  readonly blackholes: readonly Prefix[];
  /** The time between two passes when nothing tells of a change. */
  readonly resyncMs: number;
  readonly log: Log;
  readonly observer?: Observer | undefined;
}

export interface DatapathStatus {
  readonly peers: number;
  /** Of their leases: in the kernel as far as it lets; of no use to this node; kept though the store lost them. */
  readonly leases: Readonly<Record<"used" | "ignored" | "held", number>>;
  /** Changes the kernel took since the first pass. */
  readonly changes: number;
  readonly passes: number;
  readonly failures: readonly { readonly of: string; readonly why: string }[];
  readonly conflicts: readonly Conflict[];
}

/** The backend's devices and all peers in the kernel: one pass makes them what the leases say, from whatever is. */
export class Datapath {
  readonly #options: DatapathOptions;
  readonly #reconciler: Reconciler;
  readonly #retries = new Retries({ firstMs: 500, lastMs: 60_000 });
  readonly #counts = { changes: 0, passes: 0, repairs: 0, repairedAt: 0 };
  #devices: ReadonlySet<number> = new Set();
  /** Of a backend that follows the routes to the other nodes: which interfaces these lead by. */
  #routesBy: ReadonlySet<number> | undefined;
  /** How many of the peers' leases the backend could use in the last pass. */
  #used = 0;
  #failures: readonly StepFailure[] = [];
  #conflicts: readonly Conflict[] = [];
  #cause: PassCause = "start";
  #leaseEndsAt = Number.POSITIVE_INFINITY;

  constructor(options: DatapathOptions) {
    this.#options = options;
    this.#reconciler = new Reconciler(options.rtnl);
  }

  /** What failed is tried in the next pass: the leases have changed, so the reason may be gone. */
  retryNow(): void {
    if (this.#cause !== "start") this.#cause = "leases";
    this.#retries.keepOnly(new Set());
  }

  /** Does not throw: what failed is logged, and tried again at `retryAtMs`. */
  async pass(): Promise<{ readonly retryAtMs?: number | undefined }> {
    const { log, peers, observer } = this.#options;
    const now = performance.now();
    const cause = this.#cause === "drift" && now >= this.#leaseEndsAt ? "leases" : this.#cause;
    this.#cause = "drift";
    let changes: Readonly<Record<string, number>> = {};
    this.#counts.passes++;
    const waiting = new Set<string>();
    try {
      const report = await this.#reconcile(now, waiting);
      changes = this.#note(report);
      if (cause === "drift") this.#countRepairs(report.applied.length > 0, now);
      this.#failures = report.failures;
    } catch (error) {
      this.#failures = [{ of: NODE, error }];
      this.#reconciler.distrust();
    }
    for (const { of, error } of this.#failures) {
      const attempts = this.#retries.failed(of, now);
      // Now, and then more and more seldom.
      if (Number.isInteger(Math.log2(attempts)))
        log.warn({ err: error, attempts }, `cannot program ${of}: ${why(error)}`);
    }
    this.#retries.keepOnly(new Set([...this.#failures.map((failure) => failure.of), ...waiting]));
    observer?.passed({ seconds: (performance.now() - now) / 1000, cause, changes });
    const leaseEndsAt = peers.nextChangeAt(now);
    this.#leaseEndsAt = leaseEndsAt ?? Number.POSITIVE_INFINITY;
    const times = [this.#retries.nextAt(), leaseEndsAt].filter((at) => at !== undefined);
    return { retryAtMs: times.length > 0 ? Math.min(...times) : undefined };
  }

  /** The failure of the last pass as a whole, which a start does not survive. */
  get fatal(): unknown {
    return this.#failures.find((failure) => failure.of === NODE)?.error;
  }

  async #reconcile(now: number, waiting: Set<string>): Promise<ReconcileReport> {
    const { backend, underlay, peers, own, blackholes, resyncMs } = this.#options;
    const reconciler = this.#reconciler;
    if (now - reconciler.listedAt >= PERIODS_A_LISTING * resyncMs) reconciler.distrust();
    const external = underlay.follow(await reconciler.actual());
    const made = backend.ensureDevices(external, own.attrs);
    if (made.length > 0) reconciler.distrust();
    const actual = await reconciler.actual();
    const wanted = { ...backend.wanted(own, peers.current(now), external, actual), blackholes };
    // What a backend settles by itself has no part in rtnetlink's tables.
    const settlesAll = backend.settle !== undefined && wanted.peers.length === 0;
    this.#used = settlesAll ? peers.current(now).length : wanted.peers.length;
    this.#devices = new Set([external.index, ...wanted.devices.map((device) => device.index)]);
    if (backend.followsRoutes) this.#routesBy = interfacesOf(actual.routes);
    const skip = (of: string): boolean => {
      const isWaiting = this.#retries.isWaiting(of, now);
      if (isWaiting) waiting.add(of);
      return isWaiting;
    };
    const report = await reconciler.reconcile(wanted, { skip: ({ of }) => skip(of) });
    const unsettled = (await backend.settle?.(own, peers.current(now), external, skip)) ?? [];
    return { ...report, failures: [...report.failures, ...unsettled] };
  }

  /** What the next pass would do, told peer by peer; changes nothing. */
  drift(): Drift {
    const { rtnl, underlay } = this.#options;
    const external = underlay.look(listHost(rtnl));
    return surveyDatapath({ ...this.#options, external, leases: this.#options.peers.current(performance.now()) });
  }

  #note({ applied, conflicts }: ReconcileReport): Readonly<Record<string, number>> {
    const { log } = this.#options;
    this.#counts.changes += applied.length;
    const kinds: Record<string, number> = {};
    for (const { change } of applied) kinds[change] = (kinds[change] ?? 0) + 1;
    if (applied.length > 0) log.info({ ...kinds }, `kernel state brought up to date: ${applied.length} changes`);
    for (const { of, why } of conflicts)
      if (!this.#conflicts.some((old) => old.of === of && old.why === why)) log.warn({}, `cannot reach ${of}: ${why}`);
    this.#conflicts = conflicts;
    return kinds;
  }

  /** Whether anything that is announced of this link may matter. */
  concerns(link: { readonly name: string; readonly index: number }): boolean {
    return isOfInterest(link, this.#interest());
  }

  /** How soon to look after an event, or undefined when it says nothing of ours, or nothing new. */
  delayAfter(event: RtnlEvent): number | undefined {
    if (!mayMatter(event, this.#interest()) || this.#reconciler.knows(event)) return undefined;
    return this.delayAfterLoss();
  }

  /** The same when nobody knows what was announced. */
  delayAfterLoss(): number {
    this.#reconciler.distrust();
    return this.#eventDelayMs;
  }

  /**
   * Long enough for the rest of a burst to arrive. Against somebody who undoes what we do as fast as we do it, a
   * second, so that the two do not fill the machine.
   */
  get #eventDelayMs(): number {
    return this.#isArgument ? ARGUMENT.pauseMs : 20;
  }

  get #isArgument(): boolean {
    return this.#counts.repairs > ARGUMENT.repairs;
  }

  #countRepairs(hasRepaired: boolean, now: number): void {
    if (!hasRepaired) return;
    const isSoon = now - this.#counts.repairedAt < (this.#isArgument ? ARGUMENT.endMs : ARGUMENT.soonMs);
    this.#counts.repairs = isSoon ? this.#counts.repairs + 1 : 1;
    this.#counts.repairedAt = now;
  }

  #interest(): Interest {
    const { backend, underlay, ranges } = this.#options;
    const names = [underlay.external.name, ...backend.deviceNames];
    return { names, indexes: this.#devices, ranges, routesBy: this.#routesBy };
  }

  status(): DatapathStatus {
    const now = performance.now();
    const { peers } = this.#options;
    const count = peers.current(now).length;
    return {
      peers: count,
      leases: { used: this.#used, ignored: Math.max(0, count - this.#used), held: peers.heldAt(now) },
      changes: this.#counts.changes,
      passes: this.#counts.passes,
      failures: this.#failures.map(({ of, error }) => ({ of, why: why(error) })),
      conflicts: this.#conflicts,
    };
  }
}

function why(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function interfacesOf(routes: readonly Route[]): ReadonlySet<number> {
  const foreign = routes.filter(({ protocol }) => protocol !== RTPROT_PODPATH);
  return new Set(
    foreign
      .flatMap(({ oif, multipath = [] }) => [oif, ...multipath.map((hop) => hop.oif)])
      .filter((oif) => oif !== undefined),
  );
}

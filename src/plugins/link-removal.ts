// Deleting a veth takes the kernel 20 ms, nearly all of it waiting for RCU readers. So it goes in two strokes:
//
//   put aside   the pair joins a group, the pod's end goes down and gives its name away       0.4 ms, before the reply
//   sweep       RTM_DELLINK of the whole group, on another thread; for all together the price of one
//
// From the first stroke on nothing can reach the pod's address by it, and its name is free. The group is the kernel's
// to remember: what a process that was killed has put aside, the next sweep takes along (the agent's start, GC, any DEL).
import { deleteLink, setLink } from "../formats/netlink/index.ts";
import { isNotFound, Rtnl, watchRtnl } from "../kernel/index.ts";
import type { Host } from "./host.ts";
import type { Pod } from "./netns.ts";

/** IFLA_GROUP of the devices that are put aside ("podp"); `ip link show group 0x706f6470` lists them. */
export const ASIDE_GROUP = 0x706f_6470;

const SWEEP_RETRY_MS = 10_000;

/** As many as Rtnl.executeAsync() has at once. */
const THREADS = 3;

/** Who waits for the host's device `index` to be gone. */
interface Waiter {
  readonly index: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export interface RemovalOptions {
  /** How long DEL waits, at the most, to see a device go that is out of use already; without it, until it is gone. */
  readonly patienceMs?: number;
  /** A sweep failed, perhaps when nobody waits for it any more: with a patience it is tried again after a while. */
  readonly onSweepFailed?: (error: unknown) => void;
}

export class LinkRemoval {
  readonly #rtnl: () => Rtnl;
  readonly #options: RemovalOptions;
  readonly #waiters = new Set<Waiter>();
  #watch: Disposable | undefined;
  #isDue = false;
  #running = 0;

  constructor(rtnl: () => Rtnl, options: RemovalOptions) {
    this.#rtnl = rtnl;
    this.#options = options;
  }

  /** Deletes every device that is put aside, soon and on another thread. */
  sweep(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    if (this.#running === 0) this.#next();
    // One is under way: what else is put aside in this turn of the event loop goes along with the second.
    else setImmediate(() => this.#next());
  }

  /** Deletes the host's device `index`; resolves when it is gone. */
  async remove(index: number): Promise<void> {
    this.#rtnl().execute(setLink({ index, isUp: false, group: ASIDE_GROUP }), { tolerate: isNotFound });
    await this.#gone(index);
  }

  /**
   * As remove(), for what is out of use already. With a patience resolves when that is over, too, and at once when all
   * threads wait for the kernel: nobody needs to.
   */
  async removeAside(index: number): Promise<void> {
    const gone = this.#gone(index);
    const { patienceMs } = this.#options;
    if (patienceMs === undefined) return gone;
    if (this.#running >= THREADS) return;
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, patienceMs);
    });
    // A failure is left to the next sweep: the device is still in its group.
    await Promise.race([gone.catch(() => {}), patience]);
    clearTimeout(timer);
  }

  #gone(index: number): Promise<void> {
    const gone = new Promise<void>((resolve, reject) => this.#waiters.add({ index, resolve, reject }));
    gone.catch(() => {}); // whoever awaits it is told all the same
    // The kernel announces it after the first millisecond, and answers after the twentieth.
    this.#watch ??= watchRtnl(
      undefined,
      (event) => event.of === "link" && event.change === "delete" && this.#settle(event.link.index),
      () => {}, // what is announced in vain is told by the answer
      { of: ["link"], receiveBufferBytes: 256 * 1024 },
    );
    this.sweep();
    return gone;
  }

  #settle(index: number): void {
    for (const waiter of this.#waiters) if (waiter.index === index) this.#end(waiter, waiter.resolve);
  }

  #end(waiter: Waiter, tell: () => void): void {
    this.#waiters.delete(waiter);
    tell();
    if (this.#waiters.size > 0) return;
    this.#watch?.[Symbol.dispose]();
    this.#watch = undefined;
  }

  #next(): void {
    if (!this.#isDue || this.#running >= THREADS) return;
    this.#isDue = false;
    this.#running++;
    void this.#sweep().finally(() => {
      this.#running--;
      this.#next();
    });
  }

  async #sweep(): Promise<void> {
    const before = [...this.#waiters];
    try {
      using rtnl = Rtnl.open();
      await rtnl.executeAsync(deleteLink({ group: ASIDE_GROUP }), { tolerate: isNotFound });
      for (const waiter of before) this.#end(waiter, waiter.resolve);
    } catch (e) {
      this.#options.onSweepFailed?.(e);
      if (this.#options.patienceMs !== undefined) setTimeout(() => this.sweep(), SWEEP_RETRY_MS).unref();
      for (const waiter of before) this.#end(waiter, () => waiter.reject(e));
    }
  }
}

export interface Removal {
  /** The device is gone; from removeFromPod() on it is out of use. */
  readonly gone: Promise<void>;
}

/** Takes the pod's interface away, and its other end with it. Content when there is none. */
export async function removeFromPod({ rtnl, ifName }: Pod, host: Host): Promise<Removal> {
  const { link, namespaceId } = rtnl.linkAndNamespaceId(ifName, host.netns);
  if (!link) return { gone: Promise.resolve() };
  const { kind, link: hostIndex, linkNetnsId } = link;
  if (kind?.kind !== "veth" || hostIndex === undefined || linkNetnsId === undefined || linkNetnsId !== namespaceId) {
    // Its other end, if it has one, is in no place that we know: an index alone may mean another namespace's device.
    await rtnl.executeAsync(deleteLink({ index: link.index }), { tolerate: isNotFound });
    return { gone: Promise.resolve() };
  }
  // The group first: from then on a crash loses nothing, and a DEL that is tried again still finds the name.
  host.rtnl.execute(setLink({ index: hostIndex, group: ASIDE_GROUP }), { tolerate: isNotFound });
  rtnl.execute(
    [setLink({ index: link.index, isUp: false }), setLink({ index: link.index, newName: `gone${link.index}` })],
    { tolerate: isNotFound },
  );
  const gone = host.removal.removeAside(hostIndex);
  gone.catch(() => {}); // whoever awaits it later is told all the same
  return { gone };
}

import { NetNs, Rtnl } from "../kernel/index.ts";
import { LinkRemoval } from "./link-removal.ts";

export interface HostOptions {
  /** How long DEL waits, at the most, to see a device go that is out of use already; without it, until it is gone. */
  readonly patienceMs?: number;
}

/**
 * The node's side of CNI calls: one rtnetlink connection into the namespace this was first used in, and the devices on
 * their way out. Whoever runs many calls keeps one for all of them; a call that is given none has its own.
 */
export class Host implements Disposable {
  #rtnl: Rtnl | undefined;
  #netns: NetNs | undefined;
  readonly removal: LinkRemoval;

  constructor({ patienceMs }: HostOptions = {}) {
    this.removal = new LinkRemoval(() => this.rtnl, patienceMs);
  }

  get rtnl(): Rtnl {
    this.#rtnl ??= Rtnl.open();
    return this.#rtnl;
  }

  get netns(): NetNs {
    this.#netns ??= NetNs.self();
    return this.#netns;
  }

  /** Deletions under way go on. */
  [Symbol.dispose](): void {
    this.#rtnl?.[Symbol.dispose]();
    this.#netns?.close();
  }
}

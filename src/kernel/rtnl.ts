import type {
  Address,
  FdbEntry,
  Link,
  Neighbour,
  Nexthop,
  Request,
  Route,
  RouteFilter,
} from "../formats/netlink/index.ts";
import type { NetNs } from "./netns.ts";

export interface ExecuteOptions {
  /** Failures to pass over, e.g. `isNotFound` when deleting. */
  readonly tolerate?: (error: unknown) => boolean;
}

/** A NETLINK_ROUTE connection, bound to the namespace it was opened in for its whole life. */
export class Rtnl implements Disposable {
  static open(ns?: NetNs): Rtnl {
    throw new Error(`not yet: ${ns}`);
  }

  /**
   * Carries the requests out in order, in as few sends as fit. The kernel does not stop at one that fails: the error
   * tells the first that failed and, in `others`, the rest. @throws {NetlinkError}
   */
  execute(requests: Request | readonly Request[], options: ExecuteOptions = {}): void {
    throw new Error(`not yet: ${requests} ${options}`);
  }

  /** As execute(), off the event loop: for RTM_DELLINK, which waits for an RCU grace period (16 ms and more). */
  executeAsync(requests: Request | readonly Request[], options: ExecuteOptions = {}): Promise<void> {
    throw new Error(`not yet: ${requests} ${options}`);
  }

  links(): Link[] {
    throw new Error("not yet");
  }

  /** One link, or undefined when there is none. */
  link(nameOrIndex: string | number): Link | undefined {
    throw new Error(`not yet: ${nameOrIndex}`);
  }

  addresses(): Address[] {
    throw new Error("not yet");
  }

  routes(filter?: RouteFilter): Route[] {
    throw new Error(`not yet: ${filter}`);
  }

  neighbours(): Neighbour[] {
    throw new Error("not yet");
  }

  fdb(index?: number): FdbEntry[] {
    throw new Error(`not yet: ${index}`);
  }

  nexthops(): Nexthop[] {
    throw new Error("not yet");
  }

  [Symbol.dispose](): void {}
}

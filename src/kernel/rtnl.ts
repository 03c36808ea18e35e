import type { IpAddress } from "../formats/netip/index.ts";
import {
  type Address,
  AF_BRIDGE,
  AF_INET,
  AF_INET6,
  DecodeError,
  decodeAddress,
  decodeFdb,
  decodeFilter,
  decodeLink,
  decodeNamespaceId,
  decodeNeighbour,
  decodeNexthop,
  decodeQdisc,
  decodeRoute,
  describeRequest,
  dumpAddresses,
  dumpFdb,
  dumpFilters,
  dumpLinks,
  dumpNeighbours,
  dumpNexthops,
  dumpQdiscs,
  dumpRoutes,
  type FdbEntry,
  type Filter,
  getLink,
  getNamespaceId,
  getRoute,
  type Link,
  type LinkSelector,
  type Message,
  type Neighbour,
  type Nexthop,
  type Qdisc,
  type Request,
  type Route,
  type RouteFilter,
  RTM_NEWLINK,
  RTM_NEWNSID,
  RTM_NEWROUTE,
} from "../formats/netlink/index.ts";
import { isNotFound, type NetlinkError } from "./errors.ts";
import { batches, Exchange } from "./exchange.ts";
import { NETLINK_ROUTE, NetlinkSocket, type NetlinkTransport } from "./netlink.ts";
import type { NetNs } from "./netns.ts";

export interface ExecuteOptions {
  /** Failures to pass over, e.g. `isNotFound` when deleting. */
  readonly tolerate?: (error: NetlinkError) => boolean;
}

// RTM_DELLINK holds RTNL, the kernel's one lock for all of this, for its first milliseconds; the rest of its 20 ms, the
// wait for RCU readers, it holds nothing but one of libuv's four threads. One thread stays free for the process's files.
const SLOW_AT_ONCE = 3;
const waiting: (() => void)[] = [];
let running = 0;

async function slowly<T>(work: () => Promise<T>): Promise<T> {
  if (running < SLOW_AT_ONCE) running++;
  else await new Promise<void>((resolve) => waiting.push(resolve));
  try {
    return await work();
  } finally {
    const next = waiting.shift();
    if (next) next();
    else running--;
  }
}

/** A NETLINK_ROUTE connection, bound to the namespace it was opened in for its whole life. */
export class Rtnl implements Disposable {
  readonly #transport: NetlinkTransport;
  readonly #exchange: Exchange;
  /** For messages only; a device that was renamed since is told by the name it had. */
  readonly #names = new Map<number, string>();
  #last: Promise<void> = Promise.resolve();
  #running = 0;
  #isClosed = false;

  constructor(transport: NetlinkTransport) {
    this.#transport = transport;
    this.#exchange = new Exchange(transport, (request) => describeRequest(request, (index) => this.#names.get(index)));
  }

  /** In `ns`, or where this thread is. */
  static open(ns?: NetNs): Rtnl {
    return new Rtnl(NetlinkSocket.open(NETLINK_ROUTE, ns, (socket) => socket.setReceiveBuffer(1024 * 1024)));
  }

  /**
   * Carries the requests out in order. The kernel does not stop at one that fails: the error tells the first that
   * failed and, in `others`, the rest; everything else was done. @throws {NetlinkError}
   */
  execute(requests: Request | readonly Request[], options: ExecuteOptions = {}): void {
    const errors: NetlinkError[] = [];
    let done = 0;
    for (const batch of batches(listOf(requests))) {
      errors.push(...renumber(this.#exchange.run(batch).errors, done));
      done += batch.length;
    }
    raise(errors, options);
  }

  /** As execute(), of one batch; gives the link `name` as it is then. */
  executeAndGetLink(requests: readonly Request[], name: string): Link | undefined {
    const { replies, errors } = this.#exchange.run([...requests, getLink({ name })]);
    raise(errors, {});
    return this.#linkIn(replies);
  }

  /**
   * As execute(), off the event loop: for RTM_DELLINK, which waits 16 ms and more for an RCU grace period, and for
   * requests by the ten thousand. Between the batches others get their turn.
   */
  executeAsync(requests: Request | readonly Request[], options: ExecuteOptions = {}): Promise<void> {
    // In the order of the calls, for one connection.
    const run = async (): Promise<void> => {
      const errors: NetlinkError[] = [];
      let done = 0;
      for (const batch of batches(listOf(requests))) {
        errors.push(...renumber((await this.#exchange.runAsync(batch)).errors, done));
        done += batch.length;
      }
      raise(errors, options);
    };
    const work = this.#last.then(() => slowly(run));
    this.#running++;
    this.#last = work.then(
      () => this.#finished(),
      () => this.#finished(),
    );
    return work;
  }

  /** All devices of the namespace; with their counters if asked. */
  links(options: { readonly stats?: boolean } = {}): Link[] {
    const links = this.#dump(dumpLinks(), (message) => decodeLink(message, options));
    for (const { index, name } of links) this.#names.set(index, name);
    return links;
  }

  /** One link, or undefined when there is none. */
  link(nameOrIndex: string | number): Link | undefined {
    const which: LinkSelector = typeof nameOrIndex === "string" ? { name: nameOrIndex } : { index: nameOrIndex };
    const { replies, errors } = this.#exchange.run([getLink(which)]);
    raise(errors, GONE);
    return this.#linkIn(replies);
  }

  #linkIn(replies: readonly Message[]): Link | undefined {
    const message = replies.find(({ type }) => type === RTM_NEWLINK);
    const link = message && decodeLink(message);
    if (link) this.#names.set(link.index, link.name);
    return link;
  }

  /**
   * One link, and by which id this connection's namespace knows `other`: is it the one that the link's other end
   * (`link`, `linkNetnsId`) is in?
   */
  linkAndNamespaceId(
    name: string,
    other: NetNs,
  ): { readonly link: Link | undefined; readonly namespaceId: number | undefined } {
    const { replies, errors } = this.#exchange.run([getLink({ name }), getNamespaceId(other.fd)]);
    raise(errors, GONE);
    const id = replies.find(({ type }) => type === RTM_NEWNSID);
    return { link: this.#linkIn(replies), namespaceId: id && decodeNamespaceId(id) };
  }

  /** All addresses of both families, or those of one device. */
  addresses(index?: number): Address[] {
    return this.#dump(dumpAddresses(index), decodeAddress, isIp).filter(
      (address) => index === undefined || address.index === index,
    );
  }

  routes(filter: RouteFilter = {}): Route[] {
    // An old kernel filters by nothing but the family.
    const matches = (route: Route): boolean =>
      (filter.family ?? route.family) === route.family &&
      (filter.table ?? route.table) === route.table &&
      (filter.protocol ?? route.protocol) === route.protocol &&
      (filter.type ?? route.type) === route.type &&
      (filter.oif === undefined || filter.oif === route.oif || usesDevice(route, filter.oif));
    try {
      return this.#dump(dumpRoutes(filter), decodeRoute, isIp).filter(matches);
    } catch (error) {
      // "FIB table does not exist": nobody put a route into it yet.
      if (filter.table !== undefined && isNotFound(error)) return [];
      throw error;
    }
  }

  /** The route that a packet of this host to `destination` takes, or undefined when there is none (ENETUNREACH). */
  routeTo(
    destination: IpAddress,
    options: { readonly from?: IpAddress; readonly oif?: number } = {},
  ): Route | undefined {
    const { replies, errors } = this.#exchange.run([getRoute(destination, options)]);
    raise(errors, { tolerate: ({ code }) => code === "ENETUNREACH" || code === "EHOSTUNREACH" });
    const message = replies.find(({ type }) => type === RTM_NEWROUTE);
    return message && decodeRoute(message);
  }

  /** All neighbours of both families, or those of one device. */
  neighbours(index?: number): Neighbour[] {
    return this.#dump(dumpNeighbours(index), decodeNeighbour, isIp).filter(
      (neighbour) => index === undefined || neighbour.index === index,
    );
  }

  /** All FDB entries of bridges and vxlan devices, or those of one device. */
  fdb(index?: number): FdbEntry[] {
    return this.#dump(dumpFdb(index), decodeFdb, ({ payload }) => payload[0] === AF_BRIDGE).filter(
      (entry) => index === undefined || entry.index === index,
    );
  }

  /** All qdiscs, or those of one device. */
  qdiscs(index?: number): Qdisc[] {
    return this.#dump(dumpQdiscs(index), decodeQdisc).filter((qdisc) => index === undefined || qdisc.index === index);
  }

  /** The filters of what a device receives; none without an ingress qdisc. */
  ingressFilters(index: number): Filter[] {
    return this.#dump(dumpFilters(index), decodeFilter);
  }

  nexthops(): Nexthop[] {
    return this.#dump(dumpNexthops(), decodeNexthop);
  }

  #dump<T>(request: Request, decode: (message: Message) => T, wanted: (message: Message) => boolean = all): T[] {
    const objects: T[] = [];
    for (const message of this.#exchange.dump(request)) {
      if (!wanted(message)) continue;
      try {
        objects.push(decode(message));
      } catch (error) {
        // One foreign object of a kind unknown to us shall not hide all the others. A damaged datagram throws above.
        if (!(error instanceof DecodeError)) throw error;
      }
    }
    return objects;
  }

  #finished(): void {
    this.#running--;
    if (this.#isClosed && this.#running === 0) this.#transport.close();
  }

  /** Closes the socket, once nothing runs on it any more. */
  [Symbol.dispose](): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#running === 0) this.#transport.close();
  }
}

const GONE: ExecuteOptions = { tolerate: isNotFound };
const all = (): boolean => true;

/** A kernel without IPv6 answers for AF_UNSPEC; multicast routing and MPLS answer for AF_UNSPEC too. */
function isIp({ payload }: Message): boolean {
  return payload[0] === AF_INET || payload[0] === AF_INET6;
}

function usesDevice(route: Route, oif: number): boolean {
  return route.multipath?.some((hop) => hop.oif === oif) ?? false;
}

function listOf(requests: Request | readonly Request[]): readonly Request[] {
  return "payload" in requests ? [requests] : requests;
}

function renumber(errors: readonly NetlinkError[], done: number): NetlinkError[] {
  return errors.map((error) => (done === 0 ? error : error.with({ requestIndex: error.requestIndex + done })));
}

function raise(errors: readonly NetlinkError[], { tolerate }: ExecuteOptions): void {
  const [first, ...others] = tolerate ? errors.filter((error) => !tolerate(error)) : errors;
  if (first) throw others.length > 0 ? first.with({ others }) : first;
}

import type { IpFamily } from "../formats/netip/index.ts";
import {
  AF_UNSPEC,
  DecodeError,
  decodeEvent,
  decodeLinkHead,
  decodeMessages,
  type Link,
  type Message,
  RTM_DELLINK,
  RTM_NEWLINK,
  RTNLGRP,
  type RtnlEvent,
} from "../formats/netlink/index.ts";
import { SyscallError } from "./errors.ts";
import { NETLINK_ADD_MEMBERSHIP, NETLINK_ROUTE, NetlinkSocket } from "./netlink.ts";
import type { NetNs } from "./netns.ts";
import { check, watch } from "./sys.ts";

export type { RtnlEvent };

export interface WatchRtnlOptions {
  /** What to hear of; without it, of everything. */
  readonly of?: readonly RtnlEvent["of"][];
  /** Of which links to hear; without it, of all. A node with pods announces ten changes of links for each that comes. */
  readonly links?: (link: Pick<Link, "index" | "name">) => boolean;
  /** Of which addresses and routes to hear; without it, of both. The kernel announces all else without distinction. */
  readonly families?: readonly IpFamily[];
  /** How much may queue while the event loop is busy. */
  readonly receiveBufferBytes?: number;
}

/** So many datagrams are read before others get their turn. */
const DATAGRAMS_A_TURN = 256;
const EVERYTHING: readonly RtnlEvent["of"][] = ["link", "address", "route", "neighbour", "fdb", "nexthop"];

/**
 * Announces every change of links, addresses, routes, neighbours, FDB entries and nexthops in `ns` (undefined: where
 * this thread is). `onResync` says that announcements were lost and only a fresh listing tells what is. To miss
 * nothing, start the watch first and list then.
 */
export function watchRtnl(
  ns: NetNs | undefined,
  onEvent: (event: RtnlEvent) => void,
  onResync: () => void,
  options: WatchRtnlOptions = {},
): Disposable {
  const wanted = new Set(options.of ?? EVERYTHING);
  const families = options.families ?? ([4, 6] as const);
  const { links } = options;
  const isWanted = (message: Message): boolean => !links || !isLink(message) || links(decodeLinkHead(message));
  const socket = NetlinkSocket.open(NETLINK_ROUTE, ns, (opened) => {
    opened.setReceiveBuffer(options.receiveBufferBytes ?? 4 * 1024 * 1024);
    for (const group of new Set([...wanted].flatMap((of) => families.map((family) => RTNLGRP[of][family]))))
      check(opened.setOption(NETLINK_ADD_MEMBERSHIP, group), "join rtnetlink group", String(group));
  });

  const lost = (): void => {
    discardQueued(socket);
    onResync();
  };
  const read = (): void => {
    for (let i = 0; i < DATAGRAMS_A_TURN && socket.fd >= 0; i++) {
      const events = receiveEvents(socket, isWanted);
      if (events === undefined) return;
      if (events === "lost") {
        lost();
        return;
      }
      for (const event of events) if (wanted.has(event.of) && socket.fd >= 0) onEvent(event);
    }
  };
  const watching = watch(socket.fd, read, lost);
  return {
    [Symbol.dispose]: () => {
      watching[Symbol.dispose]();
      socket.close();
    },
  };
}

/** The events of the next datagram; undefined when none is queued. What cannot be read is as good as lost. */
function receiveEvents(
  socket: NetlinkSocket,
  isWanted: (message: Message) => boolean,
): RtnlEvent[] | undefined | "lost" {
  try {
    const datagram = socket.receive();
    return datagram && decodeMessages(datagram).flatMap((message) => (isWanted(message) && decodeEvent(message)) || []);
  } catch (error) {
    if (error instanceof SyscallError || error instanceof DecodeError) return "lost";
    throw error;
  }
}

function isLink({ type, payload }: Message): boolean {
  return (type === RTM_NEWLINK || type === RTM_DELLINK) && payload[0] === AF_UNSPEC;
}

/**
 * Empties the queue of a socket that overflowed. What is in it is older than the listing that follows. And only when
 * it is empty does the kernel take the socket for one that keeps up again, and tells of the next loss.
 */
function discardQueued(socket: NetlinkSocket): void {
  for (let attempts = 0; attempts < 100_000; attempts++) {
    try {
      if (socket.receive() === undefined) return;
    } catch {
      // ENOBUFS once more.
    }
  }
}

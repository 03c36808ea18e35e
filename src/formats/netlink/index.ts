/**
 * Netlink as bytes and objects: nlmsghdr, attributes, extended acks, and rtnetlink's links, addresses, routes,
 * neighbours, FDB entries and nexthops (include/uapi/linux/{netlink,rtnetlink,if_link,neighbour,nexthop}.h; RFC 3549);
 * generic netlink's families, and WireGuard's (include/uapi/linux/{genetlink,wireguard}.h).
 *
 * Pure: `newX`, `setX`, `deleteX`, `dumpX` make a Request, `decodeX` reads a Message. Sockets, sequence numbers and
 * retries are kernel's. Numbers are in host byte order, little-endian on every machine we support.
 */
export * from "./constants.ts";
export * from "./errors.ts";
export * from "./ext-ack.ts";
export * from "./generic/generic.ts";
export * from "./generic/wireguard.ts";
export * from "./message.ts";
export * from "./netfilter/conntrack.ts";
export * from "./netfilter/nf-tables.ts";
export * from "./route/address.ts";
export * from "./route/bridge.ts";
export * from "./route/describe.ts";
export * from "./route/event.ts";
export * from "./route/fdb.ts";
export * from "./route/filter.ts";
export * from "./route/ipip.ts";
export * from "./route/link.ts";
export * from "./route/link-stats.ts";
export * from "./route/multipath.ts";
export * from "./route/namespace.ts";
export * from "./route/neighbour.ts";
export * from "./route/nexthop.ts";
export {
  decodeQdisc,
  deleteIngress,
  deleteRootQdisc,
  dumpQdiscs,
  type Qdisc,
  replaceIngress,
  replaceTbf,
  type Tbf,
} from "./route/qdisc.ts";
export * from "./route/route.ts";
export * from "./route/veth.ts";
export * from "./route/vxlan.ts";

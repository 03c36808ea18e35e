// A request in the words of the `ip` command that would make it, for error messages.
import { formatPrefix, type IpAddress } from "../../netip/index.ts";
import { Attributes, fixedHeader } from "../attribute.ts";
import * as c from "../constants.ts";
import { DecodeError } from "../errors.ts";
import type { Request } from "../message.ts";
import { decodeAddress } from "./address.ts";
import { decodeFdb } from "./fdb.ts";
import { IFINFOMSG_LENGTH } from "./ifinfomsg.ts";
import { decodeNeighbour } from "./neighbour.ts";
import { decodeNexthop } from "./nexthop.ts";
import { readTcmsg, TCA_KIND, TCMSG_LENGTH } from "./qdisc.ts";
import { decodeRoute } from "./route.ts";

/** Gives a device's name to its index, if it knows it. */
export type NameOf = (index: number) => string | undefined;

/** `add route 10.244.2.0/24 via 10.244.2.0 dev flannel.1`. Never throws. */
export function describeRequest(request: Request, nameOf: NameOf = () => undefined): string {
  try {
    return describe(request, (index) => nameOf(index) ?? `#${index}`);
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    return `carry out netlink request ${request.type}`;
  }
}

function describe(request: Request, nameOf: (index: number) => string): string {
  const { type, flags, payload } = request;
  const message = { type, flags, payload, seq: 0, pid: 0 };
  const kind = type - (type % 4);
  const isGet = type % 4 === 2;
  if (isGet && (flags & c.NLM_F_DUMP) === c.NLM_F_DUMP) return `list ${plural(kind, payload[0] ?? 0)}`;
  const verb = isGet ? "get" : type % 4 === 1 ? "delete" : verbOfNew(flags);
  const dev = (index: number | undefined): string => (index ? ` dev ${nameOf(index)}` : "");
  const via = (gateway: IpAddress | undefined): string => (gateway ? ` via ${gateway}` : "");
  if (kind === c.RTM_NEWLINK) return `${verb} ${describeLink(payload, nameOf)}`;
  if (kind === c.RTM_NEWADDR) {
    const { prefix, index } = decodeAddress(message);
    return `${verb} address ${formatPrefix(prefix)}${dev(index)}`;
  }
  if (kind === c.RTM_NEWROUTE) {
    const { dst, gateway, oif, nexthopId } = decodeRoute(message);
    const nexthop = nexthopId === undefined ? "" : ` nhid ${nexthopId}`;
    return `${verb} route ${dst ? formatPrefix(dst) : "default"}${nexthop}${via(gateway)}${dev(oif)}`;
  }
  if (kind === c.RTM_NEWNEIGH && payload[0] === c.AF_BRIDGE) {
    const { lladdr, dst, index } = decodeFdb(message);
    return `${verb} FDB entry ${lladdr}${dst ? ` dst ${dst}` : ""}${dev(index)}`;
  }
  if (kind === c.RTM_NEWNEIGH) {
    const { address, lladdr, index } = decodeNeighbour(message);
    return `${verb} neighbour ${address}${lladdr ? ` lladdr ${lladdr}` : ""}${dev(index)}`;
  }
  if (kind === c.RTM_NEWNEXTHOP) {
    const { id, gateway, oif } = decodeNexthop(message);
    return `${verb} nexthop ${id}${via(gateway)}${dev(oif)}`;
  }
  if (kind === c.RTM_NEWQDISC || kind === c.RTM_NEWTFILTER) {
    const { index } = readTcmsg(payload);
    const what = new Attributes(payload, "tcmsg", TCMSG_LENGTH).text(TCA_KIND);
    return `${verb} ${what ? `${what} ` : ""}${kind === c.RTM_NEWQDISC ? "qdisc" : "filter"}${dev(index)}`;
  }
  if (type === c.RTM_GETNSID) return "get the id of a namespace";
  return `carry out netlink request ${type}`;
}

function verbOfNew(flags: number): string {
  if (flags & c.NLM_F_REPLACE) return "replace";
  if (flags & c.NLM_F_APPEND) return "append";
  return flags & c.NLM_F_CREATE ? "add" : "change";
}

function describeLink(payload: Uint8Array, nameOf: (index: number) => string): string {
  const index = fixedHeader(payload, IFINFOMSG_LENGTH, "ifinfomsg").getInt32(4, true);
  const attributes = new Attributes(payload, "ifinfomsg", IFINFOMSG_LENGTH);
  const name = attributes.text(c.IFLA_IFNAME);
  const group = attributes.u32(c.IFLA_GROUP);
  if (name === undefined && index === 0) return `links of group ${group}`;
  const master = attributes.u32(c.IFLA_MASTER);
  return `link ${name ?? nameOf(index)}${master ? ` master ${nameOf(master)}` : ""}`;
}

function plural(kind: number, af: number): string {
  const names = new Map<number, string>([
    [c.RTM_NEWLINK, "links"],
    [c.RTM_NEWADDR, "addresses"],
    [c.RTM_NEWROUTE, "routes"],
    [c.RTM_NEWNEIGH, af === c.AF_BRIDGE ? "FDB entries" : "neighbours"],
    [c.RTM_NEWNEXTHOP, "nexthops"],
    [c.RTM_NEWQDISC, "qdiscs"],
    [c.RTM_NEWTFILTER, "filters"],
  ]);
  return names.get(kind) ?? `netlink objects ${kind}`;
}

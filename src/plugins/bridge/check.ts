import { CNI_ERROR, CniError, type Result, type ResultInterface } from "../../formats/cni/index.ts";
import { familyOf, formatPrefix, maskPrefix, prefixesEqual, prefixFamily } from "../../formats/netip/index.ts";
import { IFF_PROMISC, type Link, type Route } from "../../formats/netlink/index.ts";
import type { Host } from "../host.ts";
import type { Pod } from "../netns.ts";
import type { BridgeConf } from "./conf.ts";

export interface Attachment {
  readonly host: Host;
  readonly pod: Pod;
  readonly conf: BridgeConf;
  readonly result: Result;
  readonly sandbox: string;
}

function fail(message: string): never {
  throw new CniError(CNI_ERROR.internal, message);
}

/** Whether everything that ADD made is still so. @throws {CniError} naming the first thing that is not */
export function checkAttachment(attachment: Attachment): void {
  const { conf, result, host, pod } = attachment;
  const bridge = checkBridge(attachment);
  const eth = checkPod(attachment);
  checkPort(attachment, bridge, eth);
  const addresses = pod.rtnl.addresses(eth.index).map(({ prefix }) => prefix);
  for (const { address } of result.ips)
    if (!addresses.some((prefix) => prefixesEqual(prefix, address)))
      fail(`address ${formatPrefix(address)} is missing on ${pod.ifName}`);
  checkRoutes(attachment, eth.index);
  if (!conf.isGateway) return;
  const onBridge = host.rtnl.addresses(bridge.index).map(({ prefix }) => prefix.address);
  for (const { gateway } of result.ips)
    if (gateway && !onBridge.includes(gateway)) fail(`gateway address ${gateway} is missing on ${conf.bridge}`);
  if (!result.ips.every(({ address }) => host.isForwarding(prefixFamily(address))))
    fail("the host does not forward: ip_forward is 0");
}

function checkBridge({ conf, result, host }: Attachment): Link {
  const link = host.rtnl.link(conf.bridge);
  if (!link) return fail(`bridge ${conf.bridge} is missing`);
  if (link.kind?.kind !== "bridge") return fail(`${conf.bridge} is not a bridge`);
  if (!link.isUp) return fail(`bridge ${conf.bridge} is down`);
  checkMac(
    link,
    result.interfaces.find(({ name, sandbox }) => name === conf.bridge && !sandbox),
  );
  if (conf.promiscMode !== ((link.flags & IFF_PROMISC) !== 0))
    return fail(`bridge ${conf.bridge} is ${conf.promiscMode ? "not " : ""}promiscuous`);
  return link;
}

function checkPod({ pod, conf, result, sandbox }: Attachment): Link {
  const wanted = result.interfaces.find((each) => each.name === pod.ifName && each.sandbox);
  if (!wanted) return fail(`prevResult has no interface ${pod.ifName} with a sandbox`);
  if (wanted.sandbox !== sandbox)
    return fail(`sandbox of ${pod.ifName} is ${wanted.sandbox} in prevResult, not ${sandbox}`);
  const link = pod.rtnl.link(pod.ifName);
  if (!link) return fail(`interface ${pod.ifName} is missing in ${sandbox}`);
  if (link.kind?.kind !== "veth") return fail(`${pod.ifName} is not a veth`);
  if (link.isUp === conf.disableContainerInterface)
    return fail(`${pod.ifName} is ${link.isUp ? "up, and the configuration disables it" : "down"}`);
  checkMac(link, wanted);
  return link;
}

/** The host's end, which prevResult names: the peer of the pod's, and a port of the bridge. */
function checkPort({ host, conf, result, pod }: Attachment, bridge: Link, eth: Link): void {
  const wanted = result.interfaces.find(({ name, sandbox }) => name !== conf.bridge && !sandbox);
  const link = wanted && host.rtnl.link(wanted.name);
  if (!wanted || !link)
    throw new CniError(CNI_ERROR.internal, `host interface ${wanted?.name ?? "of the pair"} is missing`);
  if (eth.link !== link.index || link.link !== eth.index) fail(`${link.name} is not the peer of ${pod.ifName}`);
  if (link.master !== bridge.index) fail(`${link.name} is not attached to ${conf.bridge}`);
  if (!link.isUp) fail(`${link.name} is down`);
  if (conf.hairpinMode !== (link.bridgePort?.hairpin ?? false))
    fail(`${link.name}: hairpin mode is ${conf.hairpinMode ? "off" : "on"}`);
  checkMac(link, wanted);
}

function checkMac(link: Link, wanted: ResultInterface | undefined): void {
  if (wanted?.mac && wanted.mac.toLowerCase() !== link.address)
    fail(`${link.name} has MAC address ${link.address}, not ${wanted.mac}`);
}

/** The connected route of each address, and every route of the result. */
function checkRoutes({ pod, result }: Attachment, index: number): void {
  const routes = pod.rtnl.routes({ oif: index });
  const has = (matches: (route: Route) => boolean): boolean => routes.some(matches);
  for (const { address } of result.ips) {
    const network = maskPrefix(address);
    if (!has(({ dst }) => dst !== undefined && prefixesEqual(dst, network)))
      fail(`route to ${formatPrefix(network)} is missing in the pod`);
  }
  for (const { dst, gw } of result.routes) {
    const gateway = gw ?? result.ips.map((ip) => ip.gateway).find((ip) => ip && familyOf(ip) === prefixFamily(dst));
    const matches = (route: Route): boolean =>
      route.family === prefixFamily(dst) &&
      (dst.length === 0
        ? route.dst === undefined
        : route.dst !== undefined && prefixesEqual(route.dst, maskPrefix(dst))) &&
      (gateway === undefined || route.gateway === gateway);
    if (!has(matches)) fail(`route to ${formatPrefix(dst)}${gateway ? ` via ${gateway}` : ""} is missing in the pod`);
  }
}

// A veth pair without a bridge: the host's end is the pod's gateway, and the host routes.
import {
  CNI_ERROR,
  CniError,
  isEmptyDns,
  type JsonObject,
  type Result,
  type ResultIp,
  stringField,
} from "../../formats/cni/index.ts";
import { addToIp, formatPrefix, maskPrefix, prefixesEqual, prefixFamily } from "../../formats/netip/index.ts";
import type { Link } from "../../formats/netlink/index.ts";
import type { Rtnl } from "../../kernel/index.ts";
import { removeFromPod } from "../link-removal.ts";
import { findPod, openPod } from "../netns.ts";
import type { Call, Plugin } from "../plugin.ts";
import { createVeth, preparePod, waitForAddresses, waitUntilUp } from "../pod-link.ts";
import { addRules, checkRules, collectRules, removeRules } from "../rules/call-rules.ts";
import type { RuleOwner } from "../rules/host-rules.ts";
import { masquerade, wantsMasquerade } from "../rules/masquerade.ts";
import { inTurn } from "../undo.ts";
import { readPtpConf } from "./conf.ts";
import { addressRequests, hostPrefix, hostRequests, type PtpIp, routeRequests, vethRequests } from "./requests.ts";

const PTP_RULES: RuleOwner = { plugin: "ptp", maker: masquerade };

/** The interface every address belongs to: second in the result, after the host's end. */
const POD_INTERFACE = 1;

export const ptp: Plugin = {
  rules: masquerade,

  async add(call: Call): Promise<Result> {
    const conf = readPtpConf(call.conf);
    using pod = openPod(call);
    const { rtnl } = call.host;
    const ends = createVeth(call, pod, undefined, (plan) => vethRequests(conf.mtu, plan));
    const given = await call.delegate(ipamConf(call));
    const ips = withGateways(given);
    preparePod(pod, { ips, enabledad: conf.enabledad });
    pod.rtnl.execute(addressRequests(ends.podIndex, ips));
    rtnl.execute(hostRequests(ends.hostIndex, ips));
    for (const { address } of ips) call.host.ensureForwarding(prefixFamily(address));
    const port = await waitUntilUp(rtnl, ends.hostName);
    // A route's source may not be tentative.
    if (ips.some(({ address }) => prefixFamily(address) === 6)) await waitForAddresses(pod, ends.podIndex);
    pod.rtnl.execute(routeRequests(ends.podIndex, ips, given.routes));
    const result: Result = {
      interfaces: [
        { name: port.name, mtu: port.mtu, ...(port.address ? { mac: port.address } : {}) },
        { name: call.ifName, mac: ends.podMac, mtu: port.mtu, sandbox: call.netns },
      ],
      ips,
      routes: given.routes,
      dns: isEmptyDns(call.conf.dns) ? given.dns : call.conf.dns,
    };
    if (wantsMasquerade(call.conf)) await addRules(call, PTP_RULES, result);
    return result;
  },

  async del(call: Call): Promise<void> {
    using pod = findPod(call);
    if (pod) await removeFromPod(pod, call.host);
    await removeRules(call, PTP_RULES, wantsMasquerade(call.conf));
    if (call.conf.ipam) await call.delegate(ipamConf(call));
  },

  async check(call: Call): Promise<void> {
    readPtpConf(call.conf);
    await call.delegate(ipamConf(call));
    const { prevResult } = call.conf;
    if (!prevResult)
      throw new CniError(CNI_ERROR.invalidNetworkConfig, "Required prevResult missing: CHECK needs the result of ADD");
    using pod = openPod(call);
    const link = required(pod.rtnl, call.ifName);
    const host = prevResult.interfaces.find(({ sandbox }) => !sandbox);
    const port = required(call.host.rtnl, host?.name ?? "");
    if (link.link !== port.index || port.link !== link.index)
      throw wrong(`${port.name} is not the peer of ${link.name}`);
    checkIps({ pod: pod.rtnl, link, host: call.host.rtnl, port }, prevResult.ips);
    for (const { address } of prevResult.ips)
      if (!call.host.isForwarding(prefixFamily(address))) throw wrong("the host does not forward: ip_forward is 0");
    if (wantsMasquerade(call.conf)) await checkRules(call, PTP_RULES);
  },

  async status(call: Call): Promise<void> {
    readPtpConf(call.conf);
    await call.delegate(ipamConf(call));
  },

  async gc(call: Call): Promise<void> {
    call.host.removal.sweep();
    await inTurn([
      () => collectRules(call, PTP_RULES),
      async () => {
        if (call.conf.ipam) await call.delegate(ipamConf(call));
      },
    ]);
  },
};

function ipamConf(call: Call): JsonObject {
  const type = stringField(call.conf.ipam ?? {}, "type");
  if (!type) throw new CniError(CNI_ERROR.invalidNetworkConfig, `missing "type" in the configuration's "ipam"`);
  return { ...call.conf.raw, type };
}

function withGateways({ ips }: Result): PtpIp[] {
  if (ips.length === 0) throw new CniError(CNI_ERROR.internal, "IPAM plugin returned missing IP config");
  return ips.map(({ address, gateway }) => ({
    interface: POD_INTERFACE,
    address,
    gateway: gateway ?? addToIp(maskPrefix(address).address, 1),
  }));
}

function wrong(message: string): CniError {
  return new CniError(CNI_ERROR.internal, message);
}

function required(rtnl: Rtnl, name: string): Link {
  const link = rtnl.link(name);
  if (!link) throw wrong(`interface ${name} is missing`);
  if (link.kind?.kind !== "veth") throw wrong(`${name} is not a veth`);
  if (!link.isUp) throw wrong(`${name} is down`);
  return link;
}

interface Ends {
  readonly pod: Rtnl;
  readonly link: Link;
  readonly host: Rtnl;
  readonly port: Link;
}

function checkIps({ pod, link, host, port }: Ends, ips: readonly ResultIp[]): void {
  const [podHas, hostHas] = [pod.addresses(link.index), host.addresses(port.index)];
  for (const { address, gateway } of ips) {
    if (!podHas.some(({ prefix }) => prefixesEqual(prefix, address)))
      throw wrong(`address ${formatPrefix(address)} is missing on ${link.name}`);
    if (gateway && !hostHas.some(({ prefix }) => prefix.address === gateway))
      throw wrong(`gateway address ${gateway} is missing on ${port.name}`);
    const route = hostPrefix(address.address);
    if (!host.routes({ oif: port.index }).some(({ dst }) => dst && prefixesEqual(dst, route)))
      throw wrong(`the host's route to ${formatPrefix(route)} is missing`);
    const subnet = maskPrefix(address);
    if (!pod.routes({ oif: link.index }).some(({ dst }) => dst && prefixesEqual(dst, subnet)))
      throw wrong(`route to ${formatPrefix(subnet)} is missing in the pod`);
  }
}

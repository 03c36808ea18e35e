// ADD: bridge → veth pair (one send on the host's connection) → IPAM → addresses and routes (one send on the pod's) →
// gateway → port up. The veth comes before IPAM, as in the reference: an interface that is there already ends a second
// ADD before anybody's address is touched.
import {
  CNI_ERROR,
  CniError,
  EMPTY_RESULT,
  type JsonObject,
  type NetConf,
  type Result,
  stringField,
} from "../../formats/cni/index.ts";
import { type MacAddress, prefixFamily } from "../../formats/netip/index.ts";
import type { Link } from "../../formats/netlink/index.ts";
import { removeFromPod } from "../link-removal.ts";
import { findPod, openPod } from "../netns.ts";
import type { Call, Plugin } from "../plugin.ts";
import { createVeth, preparePod, waitForAddresses, waitUntilUp } from "../pod-link.ts";
import { remembered } from "../remember.ts";
import { addRules, checkRules, collectRules, removeRules } from "../rules/call-rules.ts";
import { inTurn } from "../undo.ts";
import { addressing } from "./addressing.ts";
import { ensureBridge, ensureGateways, pinMac } from "./bridge-link.ts";
import { checkAttachment } from "./check.ts";
import { readBridgeConf } from "./conf.ts";
import { hostRequests, podRequests } from "./requests.ts";
import { BRIDGE_RULES, wantsRules } from "./rules.ts";

export const bridge: Plugin = {
  rules: BRIDGE_RULES.maker,

  async add(call: Call): Promise<Result> {
    const conf = readBridgeConf(call);
    using pod = openPod(call);
    const { rtnl } = call.host;
    const found = ensureBridge(call, conf);
    const link = conf.isGateway ? pinMac(rtnl, found) : found;
    const ends = createVeth(call, pod, conf.mac, (plan) => hostRequests(conf, link.index, plan));
    const given = call.conf.ipam ? await call.delegate(ipamConf(call.conf)) : undefined;
    const wanted = given ? addressing(conf, call.conf, given) : { ...EMPTY_RESULT, dns: call.conf.dns };
    if (!conf.disableContainerInterface) {
      preparePod(pod, { ips: wanted.ips, enabledad: conf.enabledad });
      pod.rtnl.execute(podRequests(ends.podIndex, wanted.ips, wanted.routes));
    }
    if (conf.isGateway) ensureGateways({ ...call, link, conf, port: ends.hostName }, wanted.ips);
    // A veth pair has a carrier at both ends or at none.
    const states = conf.disableContainerInterface ? (["LOWERLAYERDOWN", "DOWN"] as const) : (["UP"] as const);
    const port = await waitUntilUp(rtnl, ends.hostName, states);
    // With its first port. A bridge that was never without carrier stays UNKNOWN, and works.
    if (found.operState !== "UP" && !conf.disableContainerInterface)
      await waitUntilUp(rtnl, conf.bridge, ["UP", "UNKNOWN"]);
    if (wanted.ips.some(({ address }) => prefixFamily(address) === 6)) await waitForAddresses(pod, ends.podIndex);
    const bridge = conf.isGateway ? link : rtnl.link(link.index); // its first port gives a bridge its MAC
    const result = { ...wanted, interfaces: interfaces(call, bridge ?? link, port, ends.podMac) };
    if (wantsRules(call.conf)) await addRules(call, BRIDGE_RULES, result);
    return result;
  },

  async del(call: Call): Promise<void> {
    using pod = findPod(call);
    const removal = pod && (await removeFromPod(pod, call.host));
    // The rest while the kernel deletes the device: nothing reaches the address by it any more.
    try {
      // By network, container and interface, whether or not the namespace is there.
      await removeRules(call, BRIDGE_RULES, wantsRules(call.conf));
      if (call.conf.ipam) await call.delegate(ipamConf(call.conf));
    } finally {
      await removal?.gone;
    }
  },

  async check(call: Call): Promise<void> {
    const conf = readBridgeConf(call);
    if (call.conf.ipam) await call.delegate(ipamConf(call.conf));
    const { prevResult } = call.conf;
    if (!prevResult)
      throw new CniError(CNI_ERROR.invalidNetworkConfig, "Required prevResult missing: CHECK needs the result of ADD");
    using pod = openPod(call);
    checkAttachment({ host: call.host, pod, conf, result: prevResult, sandbox: call.netns });
    if (wantsRules(call.conf)) await checkRules(call, BRIDGE_RULES);
  },

  async status(call: Call): Promise<void> {
    readBridgeConf(call);
    if (call.conf.ipam) await call.delegate(ipamConf(call.conf));
  },

  async gc(call: Call): Promise<void> {
    call.host.removal.sweep();
    await inTurn([
      () => collectRules(call, BRIDGE_RULES),
      async () => {
        if (call.conf.ipam) await call.delegate(ipamConf(call.conf));
      },
    ]);
  },
};

/** IPAM gets the whole configuration, and is named by `ipam.type`. */
const ipamConf = remembered(({ ipam = {}, raw }: NetConf): JsonObject => {
  const type = stringField(ipam, "type");
  if (!type) throw new CniError(CNI_ERROR.invalidNetworkConfig, `missing "type" in the configuration's "ipam"`);
  return { ...raw, type };
});

function interfaces(call: Call, bridge: Link, port: Link, podMac: MacAddress): Result["interfaces"] {
  const host = [bridge, port].map(({ name, address, mtu }) => ({ name, mtu, ...(address ? { mac: address } : {}) }));
  return [...host, { name: call.ifName, mac: podMac, mtu: port.mtu, sandbox: call.netns }];
}

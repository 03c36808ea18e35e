// ADD: bridge → IPAM → veth pair (host's batch) → pod's addresses and routes (pod's batch) → gateway → port up.
// The reference makes the veth before it asks IPAM; here IPAM comes first, so that all the kernel's work is in two sends.
import {
  CNI_ERROR,
  CniError,
  EMPTY_RESULT,
  type JsonObject,
  type Result,
  stringField,
} from "../../formats/cni/index.ts";
import { Rtnl } from "../../kernel/index.ts";
import { findNetns, openNetns } from "../netns.ts";
import type { Call, Plugin } from "../plugin.ts";
import { addressing } from "./addressing.ts";
import { ensureBridge, ensureGateways } from "./bridge-link.ts";
import { checkAttachment } from "./check.ts";
import { type BridgeConf, readBridgeConf } from "./conf.ts";
import { removeFromPod } from "./link-removal.ts";
import { configurePod, createVeth, type Pod, requireFreeName, waitForPort } from "./pod-link.ts";

export const bridge: Plugin = {
  async add(call: Call): Promise<Result> {
    const conf = readBridgeConf(call);
    using netns = openNetns(call);
    using host = Rtnl.open();
    using rtnl = Rtnl.open(netns);
    const pod: Pod = { netns, rtnl, ifName: call.ifName };
    requireFreeName(pod);
    const link = ensureBridge(host, conf, call.undo);
    const given = call.conf.ipam ? await call.delegate(ipamConf(call)) : undefined;
    const wanted = given ? addressing(conf, call.conf, given) : { ...EMPTY_RESULT, dns: call.conf.dns };
    const ends = createVeth(host, pod, conf, link.index, call.undo);
    configurePod(pod, ends.podIndex, conf, wanted);
    if (conf.isGateway) ensureGateways(host, link, conf, wanted.ips, call.undo);
    const port = await waitForPort(host, ends.hostName);
    return { ...wanted, interfaces: interfaces(call, conf, host, port.mtu, ends) };
  },

  async del(call: Call): Promise<void> {
    using netns = findNetns(call);
    if (netns) await removeFromPod(netns, call.ifName, call.conf.prevResult);
    if (call.conf.ipam) await call.delegate(ipamConf(call));
  },

  async check(call: Call): Promise<void> {
    const conf = readBridgeConf(call);
    if (call.conf.ipam) await call.delegate(ipamConf(call));
    const { prevResult } = call.conf;
    if (!prevResult)
      throw new CniError(CNI_ERROR.invalidNetworkConfig, "Required prevResult missing: CHECK needs the result of ADD");
    using netns = openNetns(call);
    using host = Rtnl.open();
    using rtnl = Rtnl.open(netns);
    checkAttachment({ host, pod: { netns, rtnl, ifName: call.ifName }, conf, result: prevResult, sandbox: call.netns });
  },

  async status(call: Call): Promise<void> {
    readBridgeConf(call);
    if (call.conf.ipam) await call.delegate(ipamConf(call));
  },

  async gc(call: Call): Promise<void> {
    if (call.conf.ipam) await call.delegate(ipamConf(call));
  },
};

/** IPAM gets the whole configuration, and is named by `ipam.type`. */
function ipamConf(call: Call): JsonObject {
  const type = stringField(call.conf.ipam ?? {}, "type");
  if (!type) throw new CniError(CNI_ERROR.invalidNetworkConfig, `missing "type" in the configuration's "ipam"`);
  return { ...call.conf.raw, type };
}

function interfaces(
  call: Call,
  conf: BridgeConf,
  host: Rtnl,
  mtu: number,
  ends: { readonly hostName: string; readonly hostMac: string; readonly podMac: string },
): Result["interfaces"] {
  const now = host.link(conf.bridge); // its MAC may have changed with its first port
  return [
    { name: conf.bridge, ...(now?.address ? { mac: now.address, mtu: now.mtu } : {}) },
    { name: ends.hostName, mac: ends.hostMac, mtu },
    { name: call.ifName, mac: ends.podMac, mtu, sandbox: call.netns },
  ];
}

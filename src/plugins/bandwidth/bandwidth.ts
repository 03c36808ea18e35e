// Shapes a pod's traffic at the host's end of its veth pair:
//
//   into the pod    tbf, the root qdisc of the host's end
//   out of the pod  what the host's end receives goes to an ifb device of the pod's own, whose root qdisc is a tbf
import { CNI_ERROR, CniError, isAtLeast, type Result, type ResultInterface } from "../../formats/cni/index.ts";
import {
  deleteIngress,
  deleteLink,
  deleteRootQdisc,
  type Link,
  newLink,
  redirectAll,
  replaceIngress,
  replaceTbf,
  type Tbf,
} from "../../formats/netlink/index.ts";
import { isNotFound, NetlinkError, type Rtnl } from "../../kernel/index.ts";
import { findPod, openPod } from "../netns.ts";
import type { Call, Plugin } from "../plugin.ts";
import { idOf, requirePrevResult } from "../rules/call-rules.ts";
import { hashedDevice } from "../rules/keys.ts";
import { type BandwidthConf, readBandwidthConf } from "./conf.ts";

export const bandwidth: Plugin = {
  add(call: Call): Result {
    const { conf, result } = start(call);
    if (!conf.ingress && !conf.egress) return result;
    const { rtnl } = call.host;
    const port = hostEnd(call);
    call.undo.push(`the bandwidth limits of ${call.ifName}`, () => remove(call, port.index));
    if (conf.ingress) rtnl.execute(replaceTbf(port.index, conf.ingress));
    if (!conf.egress) return result;
    const ifb = limitEgress(rtnl, port, ifbOf(call), conf.egress);
    const added: ResultInterface = { name: ifb.name, ...(ifb.address ? { mac: ifb.address } : {}) };
    return { ...result, interfaces: [...result.interfaces, added] };
  },

  /** The qdiscs of the host's end go with it, but its container may live on without a network and get one again. */
  del(call: Call): void {
    remove(call, findHostEnd(call)?.index);
  },

  check(call: Call): void {
    const { conf } = start(call);
    const { rtnl } = call.host;
    if (!conf.ingress && !conf.egress) return;
    const port = hostEnd(call);
    if (conf.ingress) checkTbf(rtnl, port, conf.ingress);
    if (!conf.egress) return;
    const ifb = rtnl.link(ifbOf(call));
    if (!ifb) throw failure(`device ${ifbOf(call)} is missing`);
    if (!ifb.isUp) throw failure(`device ${ifb.name} is down`);
    checkTbf(rtnl, ifb, conf.egress);
    const isRedirected = rtnl.ingressFilters(port.index).some(({ redirectTo }) => redirectTo === ifb.index);
    if (!isRedirected) throw failure(`the filter that sends what ${port.name} receives to ${ifb.name} is missing`);
  },

  status(): void {},
  gc(): void {}, // an ifb does not tell whose it is
};

function start(call: Call): { conf: BandwidthConf; result: Result } {
  if (!isAtLeast(call.conf.cniVersion, "0.3.0"))
    throw new CniError(CNI_ERROR.incompatibleVersion, "incompatible CNI versions", {
      details: `config is ${JSON.stringify(call.conf.cniVersion)}, bandwidth needs "0.3.0" or later: results before name no interfaces`,
    });
  const conf = readBandwidthConf(call.conf);
  return { conf, result: requirePrevResult(call, "bandwidth") };
}

function failure(message: string): CniError {
  return new CniError(CNI_ERROR.internal, message);
}

function ifbOf(call: Call): string {
  return hashedDevice("bwp", idOf(call));
}

/** The host's end of the pod's pair: a device that prevResult names, and whose peer is the pod's. */
function hostEnd(call: Call): Link {
  using pod = openPod(call);
  const link = pod.rtnl.link(call.ifName);
  if (!link) throw failure(`${call.ifName} is missing in ${call.netns}`);
  const port = link.kind?.kind === "veth" ? peerOf(call, link) : undefined;
  if (port) return port;
  throw failure(`${call.ifName} has no peer on the host: bandwidth shapes veth pairs only`);
}

function findHostEnd(call: Call): Link | undefined {
  using pod = findPod(call);
  const link = pod?.rtnl.link(call.ifName);
  return link?.kind?.kind === "veth" ? peerOf(call, link) : undefined;
}

/** An index alone may mean a device of another namespace; so the peer must have the pod's end for its own peer. */
function peerOf({ host }: Call, { link, index }: Link): Link | undefined {
  const peer = link === undefined ? undefined : host.rtnl.link(link);
  return peer?.kind?.kind === "veth" && peer.link === index ? peer : undefined;
}

function limitEgress(rtnl: Rtnl, port: Link, name: string, egress: Tbf): Link {
  // One that a DEL which never came has left.
  rtnl.execute(deleteLink({ name }), { tolerate: isNotFound });
  rtnl.execute(newLink({ name, mtu: port.mtu, txQueueLength: 0, isUp: true, kind: { kind: "other", name: "ifb" } }));
  const ifb = rtnl.link(name);
  if (!ifb) throw failure(`${name} vanished while ADD made it`);
  // Anew, so that no filter of before goes first.
  rtnl.execute(deleteIngress(port.index), { tolerate: isNoQdisc });
  rtnl.execute([replaceIngress(port.index), redirectAll(port.index, ifb.index), replaceTbf(ifb.index, egress)]);
  return ifb;
}

function remove(call: Call, portIndex: number | undefined): void {
  const { rtnl } = call.host;
  if (portIndex !== undefined)
    rtnl.execute([deleteRootQdisc(portIndex), deleteIngress(portIndex)], { tolerate: isNoQdisc });
  rtnl.execute(deleteLink({ name: ifbOf(call) }), { tolerate: isNotFound });
}

function isNoQdisc(error: unknown): boolean {
  return isNotFound(error) || (error instanceof NetlinkError && error.code === "EINVAL");
}

/** The kernel tells a burst by the time it takes, in ticks of 64 ns. */
function checkTbf(rtnl: Rtnl, { index, name }: Link, { rateBytesPerSecond, burstBytes }: Tbf): void {
  const tbf = rtnl.qdiscs(index).find(({ kind }) => kind === "tbf")?.tbf;
  if (!tbf) throw failure(`the limit of ${name} (tbf) is missing`);
  const toleranceBytes = 1 + Math.ceil(rateBytesPerSecond / 1_000_000);
  if (tbf.rateBytesPerSecond !== rateBytesPerSecond || Math.abs(tbf.burstBytes - burstBytes) > toleranceBytes)
    throw failure(
      `the limit of ${name} is ${tbf.rateBytesPerSecond} bytes a second and ${tbf.burstBytes} at once, ` +
        `not ${rateBytesPerSecond} and ${burstBytes}`,
    );
}

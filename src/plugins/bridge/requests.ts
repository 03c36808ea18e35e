// What one ADD asks of the kernel, as plain requests: one batch for the host's connection, one for the pod's.
import type { Result, ResultIp } from "../../formats/cni/index.ts";
import { familyOf, lastAddress, prefixFamily } from "../../formats/netip/index.ts";
import {
  type AddressSpec,
  NLM_F_APPEND,
  NLM_F_CREATE,
  newAddress,
  newLink,
  newRoute,
  type Request,
  RT_SCOPE_UNIVERSE,
  setLink,
} from "../../formats/netlink/index.ts";
import type { VethPlan } from "../pod-link.ts";
import type { BridgeConf } from "./conf.ts";

/**
 * ip link add HOST mtu M address A master BRIDGE up type veth peer name IF mtu M address P netns N
 * bridge link set dev HOST hairpin on
 */
export function hostRequests(conf: BridgeConf, bridgeIndex: number, plan: VethPlan): Request[] {
  const mtu = conf.mtu > 0 ? { mtu: conf.mtu } : {};
  const peer = { name: plan.ifName, ...mtu, address: plan.podMac, netnsFd: plan.netnsFd };
  return [
    newLink({
      name: plan.hostName,
      ...mtu,
      address: plan.hostMac,
      master: bridgeIndex,
      isUp: true,
      kind: { kind: "veth", peer },
    }),
    ...(conf.hairpinMode || conf.portIsolation
      ? [setLink({ name: plan.hostName, bridgePort: { hairpin: conf.hairpinMode, isolated: conf.portIsolation } })]
      : []),
  ];
}

/**
 * sysctl net.ipv4.conf.IF.arp_notify=1; ip link set IF up; ip addr add …; ip route add …
 * A route without a gateway goes through the first gateway of its family.
 */
export function podRequests(index: number, ips: readonly ResultIp[], routes: Result["routes"]): Request[] {
  const gatewayOf = (family: 4 | 6) => ips.map(({ gateway }) => gateway).find((ip) => ip && familyOf(ip) === family);
  return [
    setLink({ index, arpNotify: true }),
    setLink({ index, isUp: true }),
    ...ips.map(({ address }) => newAddress(addressSpec(index, address))),
    ...routes.map(({ dst, gw, mtu, priority, table, scope }) => {
      const family = prefixFamily(dst);
      const gateway = gw ?? gatewayOf(family);
      const request = newRoute({
        family,
        ...(dst.length > 0 ? { dst } : {}),
        ...(gateway ? { gateway } : {}),
        oif: index,
        scope: scope ?? RT_SCOPE_UNIVERSE,
        ...(mtu === undefined ? {} : { mtu }),
        ...(priority === undefined ? {} : { priority }),
        ...(table === undefined ? {} : { table }),
      });
      // Beside a route of another interface to the same network (ECMP), where `ip route add` would say EEXIST.
      return { ...request, flags: NLM_F_CREATE | NLM_F_APPEND };
    }),
  ];
}

/** With the broadcast address that `ip` would not set and the reference does. */
export function addressSpec(index: number, prefix: AddressSpec["prefix"]): AddressSpec {
  const hasBroadcast = prefixFamily(prefix) === 4 && prefix.length < 31;
  return { index, prefix, ...(hasBroadcast ? { broadcast: lastAddress(prefix) } : {}) };
}

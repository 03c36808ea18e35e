// What one ADD asks of the kernel. The pod sends everything, its own subnet's as well, to the host, which has a route
// to the pod alone.
import type { ResultIp, ResultRoute } from "../../formats/cni/index.ts";
import {
  familyOf,
  type IpAddress,
  maskPrefix,
  type Prefix,
  prefixBits,
  prefixFamily,
} from "../../formats/netip/index.ts";
import {
  deleteRoute,
  newAddress,
  newLink,
  newRoute,
  type Request,
  RT_SCOPE_HOST,
  RT_SCOPE_LINK,
  RT_SCOPE_UNIVERSE,
  RTPROT_KERNEL,
  setLink,
} from "../../formats/netlink/index.ts";
import { addressSpec } from "../bridge/requests.ts";
import type { VethPlan } from "../pod-link.ts";

/** An address of the pod, with the gateway that the host's end will be. */
export interface PtpIp extends ResultIp {
  readonly gateway: IpAddress;
}

/** ip link add HOST mtu M address A up type veth peer name IF mtu M address P netns N */
export function vethRequests(mtu: number, plan: VethPlan): Request[] {
  const given = mtu > 0 ? { mtu } : {};
  const peer = { name: plan.ifName, ...given, address: plan.podMac, netnsFd: plan.netnsFd };
  return [newLink({ name: plan.hostName, ...given, address: plan.hostMac, isUp: true, kind: { kind: "veth", peer } })];
}

/** ip addr add GATEWAY/32 dev HOST; ip route add POD/32 dev HOST scope host */
export function hostRequests(index: number, ips: readonly PtpIp[]): Request[] {
  return ips.flatMap(({ address, gateway }) => {
    const family = prefixFamily(address);
    return [
      newAddress({ index, prefix: hostPrefix(gateway) }),
      newRoute({
        family,
        dst: hostPrefix(address.address),
        oif: index,
        scope: family === 4 ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE,
      }),
    ];
  });
}

/** ip link set IF up; ip addr add ADDRESS dev IF */
export function addressRequests(index: number, ips: readonly PtpIp[]): Request[] {
  return [setLink({ index, isUp: true }), ...ips.map(({ address }) => newAddress(addressSpec(index, address)))];
}

/**
 * ip route del SUBNET dev IF             as if the subnet were at the other end of the wire
 * ip route add GATEWAY dev IF src ADDRESS
 * ip route add SUBNET via GATEWAY dev IF src ADDRESS
 */
export function routeRequests(index: number, ips: readonly PtpIp[], routes: readonly ResultRoute[]): Request[] {
  const gatewayOf = (family: 4 | 6): IpAddress | undefined =>
    ips.map(({ gateway }) => gateway).find((ip) => familyOf(ip) === family);
  return [
    ...ips.flatMap(({ address, gateway }) => {
      const family = prefixFamily(address);
      const subnet = maskPrefix(address);
      const common = { family, oif: index, prefSrc: address.address } as const;
      const scope = family === 4 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
      return [
        deleteRoute({ family, dst: subnet, oif: index, protocol: RTPROT_KERNEL, scope }),
        newRoute({ ...common, dst: hostPrefix(gateway), scope }),
        newRoute({ ...common, dst: subnet, gateway, scope: RT_SCOPE_UNIVERSE }),
      ];
    }),
    ...routes.map(({ dst, gw, mtu, priority, table, scope }) => {
      const family = prefixFamily(dst);
      const gateway = gw ?? gatewayOf(family);
      return newRoute({
        family,
        ...(dst.length > 0 ? { dst } : {}),
        ...(gateway ? { gateway } : {}),
        oif: index,
        scope: scope ?? RT_SCOPE_UNIVERSE,
        mtu,
        priority,
        table,
      });
    }),
  ];
}

export function hostPrefix(address: IpAddress): Prefix {
  return { address, length: prefixBits({ address }) };
}

// include/uapi/linux/if_tunnel.h: IFLA_IPTUN_* in IFLA_INFO_DATA (net/ipv4/ipip.c). RFC 2003: IPv4 in IPv4.
import type { Ipv4Address } from "../../netip/index.ts";
import { isIpv4 } from "../../netip/index.ts";
import type { Attributes, AttributeWriter } from "../attribute.ts";
import { DecodeError } from "../errors.ts";
import { type Loose, present } from "../present.ts";

const IFLA_IPTUN_LINK = 1;
const IFLA_IPTUN_LOCAL = 2;
const IFLA_IPTUN_REMOTE = 3;
const IFLA_IPTUN_TTL = 4;
const IFLA_IPTUN_TOS = 5;
const IFLA_IPTUN_PMTUDISC = 10;

const ANY = "0.0.0.0";

/** An IPv4-in-IPv4 tunnel's settings, in the words of `ip -d link`. */
export interface IpipKind {
  readonly kind: "ipip";
  /** Absent: `any`. */
  readonly local?: Ipv4Address;
  /** Absent: `any`, each route's gateway is where its packets go. */
  readonly remote?: Ipv4Address;
  /** The lower device's index; absent: whatever the route to the other end says. */
  readonly link?: number;
  /** 0 is `ttl inherit`. */
  readonly ttl: number;
  /** 1 is `tos inherit`. */
  readonly tos: number;
  /** Sets the outer packets' DF; the kernel refuses false beside a ttl of its own. */
  readonly pmtudisc: boolean;
}

/** `ip link add type ipip …`; what is left out is the kernel's default (any, any, ttl inherit, pmtudisc). */
export type IpipOptions = Pick<IpipKind, "kind"> & Loose<Omit<IpipKind, "kind">>;

export function writeIpip(data: AttributeWriter, ipip: IpipOptions): void {
  data
    .u32(IFLA_IPTUN_LINK, ipip.link)
    .ip(IFLA_IPTUN_LOCAL, ipip.local)
    .ip(IFLA_IPTUN_REMOTE, ipip.remote)
    .u8(IFLA_IPTUN_TTL, ipip.ttl)
    .u8(IFLA_IPTUN_TOS, ipip.tos)
    .bool(IFLA_IPTUN_PMTUDISC, ipip.pmtudisc);
}

export function readIpip(data: Attributes): IpipKind {
  return {
    kind: "ipip",
    ...present({
      local: address(data, IFLA_IPTUN_LOCAL),
      remote: address(data, IFLA_IPTUN_REMOTE),
      // The kernel sends 0 for none.
      link: data.u32(IFLA_IPTUN_LINK) || undefined,
    }),
    ttl: data.u8(IFLA_IPTUN_TTL) ?? 0,
    tos: data.u8(IFLA_IPTUN_TOS) ?? 0,
    pmtudisc: data.bool(IFLA_IPTUN_PMTUDISC) ?? false,
  };
}

function address(data: Attributes, type: number): Ipv4Address | undefined {
  const ip = data.ip(type);
  if (ip === undefined || ip === ANY) return undefined;
  if (!isIpv4(ip)) throw new DecodeError("IFLA_IPTUN", 0, `address ${ip} of an ipip device`);
  return ip;
}

import type { Ipv4Address } from "../../formats/netip/index.ts";
import type { IpipOptions, Link } from "../../formats/netlink/index.ts";
import type { ExternalInterface } from "../backend.ts";
import { type DeviceKind, type DeviceSpec, kindOf } from "../device.ts";
import { BackendError } from "../errors.ts";

export const IPIP_DEVICE_NAME = "flannel.ipip";

/** The outer IPv4 header. */
export const OVERHEAD_BYTES = 20;

/** What `flannel.ipip` shall be. */
export interface IpipDeviceSpec extends DeviceSpec {
  readonly kind: IpipOptions & { readonly local: Ipv4Address };
}

/** `ip link add flannel.ipip mtu … type ipip local … remote any ttl inherit nopmtudisc` */
export function ipipDeviceSpec(external: ExternalInterface, local: Ipv4Address): IpipDeviceSpec {
  return {
    name: IPIP_DEVICE_NAME,
    mtu: external.mtuBytes - OVERHEAD_BYTES,
    // With a local address of its own, so that tunl0, which takes whatever comes, may serve somebody else.
    kind: { kind: "ipip", local, ttl: 0, pmtudisc: false },
  };
}

export const IPIP_DEVICE: DeviceKind<IpipDeviceSpec> = {
  module: "ipip",
  config: "CONFIG_NET_IPIP",
  describe: ({ kind }) => `ipip local ${kind.local} remote any`,
  incompatibility: (link, spec) => {
    const is = link.kind;
    if (is?.kind !== "ipip") throw notOurs(link);
    if (is.local !== spec.kind.local) return `its local address is ${is.local ?? "any"}, not ${spec.kind.local}`;
    if (is.remote !== undefined) return `its remote address is ${is.remote}, not any`;
    return undefined;
  },
  taken: ({ kind }) =>
    `another ipip device is local ${kind.local} remote any; find it with "ip -d link show type ipip" and delete it`,
};

/** Whoever gave a device of another kind our name wants something with it. */
function notOurs(link: Link): BackendError {
  return new BackendError(
    `Cannot use ${link.name}: it is no ipip device but ${kindOf(link)}, which is not ours to delete; ` +
      `remove it with: ip link del ${link.name}`,
  );
}

import type { ExternalInterface } from "../backend.ts";
import { type DeviceKind, type DeviceSpec, kindOf } from "../device.ts";
import { BackendError } from "../errors.ts";

/** As Flannel reckons: IPv6 40, UDP 8, WireGuard 32; whatever the underlay's family. */
export const OVERHEAD_BYTES = 80;

/** What `flannel-wg` and `flannel-wg-v6` shall be, as far as rtnetlink knows. */
export interface WireguardDeviceSpec extends DeviceSpec {
  readonly kind: { readonly kind: "wireguard" };
}

/** `ip link add flannel-wg mtu … type wireguard` */
export function wireguardDeviceSpec(
  name: string,
  external: ExternalInterface,
  mtuBytes: number | undefined,
): WireguardDeviceSpec {
  return { name, mtu: (mtuBytes ?? external.mtuBytes) - OVERHEAD_BYTES, kind: { kind: "wireguard" } };
}

export const WIREGUARD_DEVICE: DeviceKind<WireguardDeviceSpec> = {
  module: "wireguard",
  config: "CONFIG_WIREGUARD",
  describe: () => "wireguard",
  incompatibility: (link) => {
    if (link.kind?.kind === "wireguard") return undefined;
    throw new BackendError(
      `Cannot use ${link.name}: it is no wireguard device but ${kindOf(link)}, which is not ours to delete; ` +
        `remove it with: ip link del ${link.name}`,
    );
  },
};

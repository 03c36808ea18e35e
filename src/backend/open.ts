import { AllocBackend } from "./alloc/alloc.ts";
import type { Backend, BackendOptions } from "./backend.ts";
import { BackendError } from "./errors.ts";
import { ExtensionBackend } from "./extension/extension.ts";
import { HostGwBackend } from "./host-gw/host-gw.ts";
import { IpipBackend } from "./ipip/ipip.ts";
import { UdpBackend } from "./udp/udp.ts";
import { VxlanBackend } from "./vxlan/vxlan.ts";
import { WireguardBackend } from "./wireguard/wireguard.ts";

const BACKENDS: Record<string, (options: BackendOptions) => Backend> = {
  vxlan: (options) => new VxlanBackend(options),
  "host-gw": (options) => new HostGwBackend(options),
  ipip: (options) => new IpipBackend(options),
  wireguard: (options) => new WireguardBackend(options),
  extension: (options) => new ExtensionBackend(options),
  udp: (options) => new UdpBackend(options),
  alloc: (options) => new AllocBackend(options),
};

/** The backend that the network config names. @throws {BackendError} when we have none of that type */
export function openBackend(options: BackendOptions): Backend {
  const type = options.network.backendType;
  const open = Object.hasOwn(BACKENDS, type) ? BACKENDS[type] : undefined;
  if (open) return open(options);
  throw new BackendError(
    `Cannot start backend ${JSON.stringify(type)} of the network config: this agent has ${Object.keys(BACKENDS).join(", ")}; ` +
      `set Backend.Type to one of these`,
  );
}

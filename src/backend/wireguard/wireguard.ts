import {
  FlannelError,
  formatWireguardBackendData,
  type LeaseAttrs,
  parseWireguardBackendData,
  parseWireguardOptions,
  type WireguardOptions,
} from "../../formats/flannel/index.ts";
import { type IpFamily, isIpv6, type Prefix } from "../../formats/netip/index.ts";
import { deleteLink, parseKey, type WireGuardEndpoint, type WireGuardKey } from "../../formats/netlink/index.ts";
import type { StepFailure, WantedDevice, WantedPeer, WantedState } from "../../host/index.ts";
import { isNotFound, WireGuard } from "../../kernel/index.ts";
import type { Lease } from "../../subnet/index.ts";
import { familiesOf, present, publicAddresses, rangesOf } from "../addresses.ts";
import type { Backend, BackendOptions, ExternalInterface, WireGuardDoor } from "../backend.ts";
import { ensureDevice, findDevice } from "../device.ts";
import { BackendError } from "../errors.ts";
import { clashWithSelf, leaseName, otherBackend, PeerLeases, type Self, selfOf } from "../peer-leases.ts";
import { OVERHEAD_BYTES, WIREGUARD_DEVICE, wireguardDeviceSpec } from "./device.ts";
import { differences, type WantedTunnel } from "./difference.ts";
import { endpointAddress } from "./endpoint.ts";
import { ensureKeyFile, publicKeyOf } from "./keys.ts";

const KEY_FILE = "/run/flannel/wgkey";

/** One device, and the families whose pods it carries. */
interface Tunnel {
  readonly name: string;
  readonly families: readonly IpFamily[];
  readonly listenPort: number;
  /** What names its port in the network config. */
  readonly portKey: string;
  index?: number;
  /** Where each peer was last told to be. */
  told: Map<WireGuardKey, WireGuardEndpoint>;
}

/**
 * Flannel's wireguard backend: a route to the whole network by the device, which finds each peer by the subnets it is
 * allowed. The device outlives this process, as its sessions do, and its key outlives the device.
 */
export class WireguardBackend implements Backend {
  readonly type = "wireguard";
  readonly deviceNames: readonly string[];
  readonly #options: BackendOptions;
  readonly #wireguard: WireguardOptions;
  readonly #presharedKey: WireGuardKey | undefined;
  readonly #tunnels: readonly Tunnel[];
  readonly #peers: PeerLeases;
  #privateKey: WireGuardKey | undefined;
  #door: (WireGuardDoor & Partial<Disposable>) | undefined;

  /** @throws {FlannelError} when the network config's options are wrong */
  constructor(options: BackendOptions) {
    const { network } = options;
    this.#options = options;
    this.#wireguard = parseWireguardOptions(network.backend);
    this.#presharedKey = parsePresharedKey(this.#wireguard.psk);
    this.#tunnels = tunnelsOf(this.#wireguard, familiesOf(network));
    this.deviceNames = this.#tunnels.map(({ name }) => name);
    this.#peers = new PeerLeases(options.log);
  }

  mtuBytes(external: ExternalInterface): number {
    return (this.#wireguard.mtuBytes ?? external.mtuBytes) - OVERHEAD_BYTES;
  }

  leaseAttrs(external: ExternalInterface): LeaseAttrs {
    const families = familiesOf(this.#options.network);
    const { mode } = this.#wireguard;
    const reachedBy = mode === "ipv4" ? [4 as const] : mode === "ipv6" ? [6 as const] : [];
    const attrs = { backendType: this.type, ...publicAddresses(external, [...families, ...reachedBy]) };
    const publicKey = publicKeyOf(this.#ownKey());
    const dataOf = (family: IpFamily): object => {
      const tunnel = this.#tunnels.find((one) => one.families.includes(family));
      if (!tunnel) return {};
      const data = formatWireguardBackendData({ publicKey, port: tunnel.listenPort });
      return family === 4 ? { backendData: data } : { backendV6Data: data };
    };
    return { ...attrs, ...dataOf(4), ...dataOf(6) };
  }

  /** The key file's; where that is lost, the one that a device still has and the peers still know. */
  #ownKey(): WireGuardKey {
    if (!this.#privateKey) {
      const link = this.deviceNames
        .map((name) => this.#options.rtnl.link(name))
        .find((one) => one?.kind?.kind === "wireguard");
      const fallback = link && this.#open().device(link.index).privateKey;
      this.#privateKey = ensureKeyFile(process.env.WIREGUARD_KEY_FILE || KEY_FILE, fallback);
    }
    return this.#privateKey;
  }

  ensureDevices(external: ExternalInterface): readonly string[] {
    return this.#tunnels.flatMap((tunnel) => {
      const spec = wireguardDeviceSpec(tunnel.name, external, this.#wireguard.mtuBytes);
      const { link, isNew } = ensureDevice(this.#options, spec, WIREGUARD_DEVICE);
      tunnel.index = link.index;
      this.#setUp(tunnel, link.index);
      return isNew ? [link.name] : [];
    });
  }

  #setUp({ name, listenPort, portKey }: Tunnel, index: number): void {
    const is = this.#open().device(index);
    const privateKey = this.#ownKey();
    const change = {
      ...(is.privateKey !== privateKey && { privateKey }),
      ...(is.listenPort !== listenPort && { listenPort }),
    };
    if (Object.keys(change).length === 0) return;
    const [error] = this.#open().set([{ index, ...change }]);
    if (!error) return;
    const hint =
      error.code === "EADDRINUSE"
        ? `; UDP port ${listenPort} is taken: free it, or set another Backend.${portKey}`
        : "";
    throw new BackendError(`Cannot set up ${name}: ${error.message}${hint}`, { cause: error });
  }

  findDevices(external: ExternalInterface): readonly string[] {
    return this.#tunnels.flatMap((tunnel) => {
      const spec = wireguardDeviceSpec(tunnel.name, external, this.#wireguard.mtuBytes);
      const { link, problems } = findDevice(this.#options.rtnl, spec, WIREGUARD_DEVICE);
      if (link) tunnel.index = link.index;
      else delete tunnel.index;
      return problems;
    });
  }

  wanted(own: Lease, peers: readonly Lease[], external: ExternalInterface): WantedState {
    return {
      devices: this.#tunnels.flatMap((tunnel) => this.#wantedDevice(tunnel, own)),
      peers: this.#usable(own, peers, external).map(({ peer }) => peer),
      ranges: rangesOf(this.#options.network),
    };
  }

  #wantedDevice({ name, index, families }: Tunnel, own: Lease): WantedDevice[] {
    if (index === undefined) return [];
    const { ipv4, ipv6 } = this.#options.network;
    const networks = families.map((family) => (family === 4 ? ipv4?.network : ipv6?.network));
    return [
      {
        index,
        name,
        addresses: subnetsOf(own, families).map(({ address }) => ({ address, length: isIpv6(address) ? 128 : 32 })),
        routes: present(networks).map((dst) => ({ dst, oif: index, onlink: false })),
      },
    ];
  }

  /** The peers that can be used, and for each tunnel what they shall be on it. */
  #usable(
    own: Lease,
    peers: readonly Lease[],
    external: ExternalInterface,
  ): readonly { readonly peer: WantedPeer; readonly tunnels: readonly (WantedTunnel | undefined)[] }[] {
    const self = selfOf(own, external);
    const { backendData, backendV6Data = backendData } = own.attrs;
    const { publicKey } = parseWireguardBackendData(backendV6Data);
    return this.#peers.usable(peers, (lease) => {
      const other = otherBackend(lease, this.type) ?? clash(lease, self, this.#tunnels);
      if (other !== undefined) return other;
      try {
        const tunnels = this.#tunnels.map((tunnel) => this.#tunnelTo(lease, tunnel, external));
        if (tunnels.every((tunnel) => tunnel === undefined)) return "it has no subnet of a family that this node has";
        if (tunnels.some((tunnel) => tunnel?.publicKey === publicKey)) return "its PublicKey is this node's own";
        return { peer: { key: leaseName(lease), neighbours: [], fdb: [], routes: [] }, tunnels };
      } catch (error) {
        return error instanceof Error ? error.message : String(error);
      }
    });
  }

  /** undefined: the peer has nothing to do with that tunnel. @throws with why its lease cannot be used */
  #tunnelTo(lease: Lease, { families, listenPort }: Tunnel, external: ExternalInterface): WantedTunnel | undefined {
    const allowedIps = subnetsOf(lease, families);
    const [family] = families;
    if (allowedIps.length === 0 || family === undefined) return undefined;
    const { backendData, backendV6Data } = lease.attrs;
    const data = parseWireguardBackendData(
      family === 4 ? (backendData ?? backendV6Data) : (backendV6Data ?? backendData),
    );
    const { mode, persistentKeepaliveSeconds } = this.#wireguard;
    const address = endpointAddress(lease.attrs, external, mode, family);
    if (!address) throw new RangeError(`it has no public address that Backend.Mode ${mode} can use`);
    return {
      of: `WireGuard peer ${leaseName(lease)}`,
      publicKey: parseKey(data.publicKey),
      presharedKey: this.#presharedKey,
      endpoint: { address, port: data.port ?? listenPort },
      persistentKeepaliveSeconds,
      allowedIps,
    };
  }

  async settle(
    own: Lease,
    peers: readonly Lease[],
    external: ExternalInterface,
    skip: (of: string) => boolean,
  ): Promise<readonly StepFailure[]> {
    const usable = this.#usable(own, peers, external);
    return this.#tunnels.flatMap((tunnel, i) =>
      this.#settleTunnel(tunnel, present(usable.map(({ tunnels }) => tunnels[i])), skip),
    );
  }

  #settleTunnel(tunnel: Tunnel, all: readonly WantedTunnel[], skip: (of: string) => boolean): StepFailure[] {
    const { index } = tunnel;
    if (index === undefined) return [];
    const { wanted, failures } = oneOfEachKey(all);
    const context = { told: tunnel.told, nowSeconds: Date.now() / 1000 };
    const todo = differences(this.#open().device(index), wanted, context).filter(({ of }) => !skip(of));
    const errors = this.#open().set(todo.map(({ change: peer }) => ({ index, peer })));
    tunnel.told = new Map(wanted.map(({ publicKey, endpoint }) => [publicKey, endpoint]));
    for (const error of errors) {
      const failed = todo[error.requestIndex];
      if (!failed || (failed.change.remove && isNotFound(error))) continue;
      tunnel.told.delete(failed.change.publicKey);
      failures.push({ of: failed.of, error });
    }
    const done = todo.length - errors.length;
    if (done > 0)
      this.#options.log.info({ device: tunnel.name }, `WireGuard peers brought up to date: ${done} changes`);
    return failures;
  }

  #open(): WireGuardDoor {
    const { wireguard, ns } = this.#options;
    this.#door ??= wireguard ?? WireGuard.open(ns);
    return this.#door;
  }

  async stop(): Promise<void> {
    this.#door?.[Symbol.dispose]?.();
    this.#door = undefined;
  }

  removeDevices(): void {
    for (const tunnel of this.#tunnels) {
      this.#options.rtnl.execute(deleteLink({ name: tunnel.name }), { tolerate: isNotFound });
      delete tunnel.index;
      tunnel.told.clear();
    }
  }
}

function tunnelsOf({ mode, listenPort, listenPortV6 }: WireguardOptions, families: readonly IpFamily[]): Tunnel[] {
  const first = { name: "flannel-wg", listenPort, portKey: "ListenPort" };
  if (mode !== "separate") return [{ ...first, families, told: new Map() }];
  const second = { name: "flannel-wg-v6", listenPort: listenPortV6, portKey: "ListenPortV6" };
  return families.map((family) => ({ ...(family === 4 ? first : second), families: [family], told: new Map() }));
}

function parsePresharedKey(psk: string | undefined): WireGuardKey | undefined {
  try {
    return psk === undefined ? undefined : parseKey(psk);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new FlannelError("the network config, Backend", "PSK", `is ${why}; make one with: wg genpsk`);
  }
}

function subnetsOf({ subnet, ipv6Subnet }: Lease, families: readonly IpFamily[]): Prefix[] {
  return present([families.includes(4) ? subnet : undefined, families.includes(6) ? ipv6Subnet : undefined]);
}

function clash(lease: Lease, self: Self, tunnels: readonly Tunnel[]): string | undefined {
  const { publicIp, publicIpv6 } = lease.attrs;
  const families = tunnels.flatMap((tunnel) => tunnel.families);
  for (const subnet of subnetsOf(lease, families)) {
    const address = isIpv6(subnet.address) ? publicIpv6 : publicIp;
    const why = clashWithSelf({ subnet, publicIp: address ?? publicIp }, self);
    if (why !== undefined) return why;
  }
  return undefined;
}

/** Two nodes with one key would be one peer, whose subnets change hands for ever: the first has it. */
function oneOfEachKey(tunnels: readonly WantedTunnel[]): { wanted: WantedTunnel[]; failures: StepFailure[] } {
  const byKey = new Map<WireGuardKey, WantedTunnel>();
  const failures: StepFailure[] = [];
  for (const tunnel of tunnels) {
    const first = byKey.get(tunnel.publicKey);
    if (!first) byKey.set(tunnel.publicKey, tunnel);
    else {
      const why = `its PublicKey is that of ${first.of} too; delete the key file of one of the two nodes and restart its agent`;
      failures.push({ of: tunnel.of, error: new BackendError(why) });
    }
  }
  return { wanted: [...byKey.values()], failures };
}

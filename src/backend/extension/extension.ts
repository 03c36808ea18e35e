import {
  type ExtensionOptions,
  type LeaseAttrs,
  parseExtensionBackendData,
  parseExtensionOptions,
} from "../../formats/flannel/index.ts";
import { formatPrefix, type IpFamily } from "../../formats/netip/index.ts";
import type { StepFailure, WantedPeer, WantedState } from "../../host/index.ts";
import type { Lease } from "../../subnet/index.ts";
import { familiesOf, NO_IPV4, publicAddresses, rangesOf } from "../addresses.ts";
import type { Backend, BackendOptions, ExternalInterface } from "../backend.ts";
import { clashWithSelf, leaseName, otherBackend, PeerLeases, selfOf } from "../peer-leases.ts";
import { AddedPeers, type PeerValues } from "./added-peers.ts";
import { type Command, type RunningCommand, runCommand } from "./command.ts";
import { PeerCommands } from "./peer-commands.ts";

const PEER_TIMEOUT_MS = 30_000;
/** It may set up whatever it likes; the agent is not ready before. */
const STARTUP_TIMEOUT_MS = 120_000;

/**
 * Flannel's extension backend: four commands of the operator's carry the packets. Where Flannel runs each once and hopes,
 * a peer's commands are run until they have done their work.
 */
export class ExtensionBackend implements Backend {
  readonly type = "extension";
  readonly deviceNames: readonly string[] = [];
  readonly #options: BackendOptions;
  readonly #commands: ExtensionOptions;
  readonly #families: readonly IpFamily[];
  readonly #peers: PeerLeases;
  readonly #added: AddedPeers;
  readonly #peerCommands: PeerCommands;
  /** Of PreStartupCommand and PostStartupCommand. */
  #running: RunningCommand | undefined;
  #hasStarted = false;

  /** @throws {FlannelError} when the network config's options are wrong */
  constructor(options: BackendOptions) {
    const { network, log, stateDir, onChange = () => {} } = options;
    this.#options = options;
    this.#commands = parseExtensionOptions(network.backend);
    this.#families = familiesOf(network);
    this.#peers = new PeerLeases(log);
    this.#added = new AddedPeers(stateDir);
    const { subnetAddCommand: add, subnetRemoveCommand: remove } = this.#commands;
    const peerCommand =
      (key: string, text: string) =>
      ({ variables, data }: PeerValues): Command => ({
        key,
        text,
        variables,
        stdin: data,
        timeoutMs: PEER_TIMEOUT_MS,
        ns: options.ns,
      });
    this.#peerCommands = new PeerCommands(
      {
        add: add === undefined ? undefined : peerCommand("SubnetAddCommand", add),
        remove: remove === undefined ? undefined : peerCommand("SubnetRemoveCommand", remove),
        run: runCommand,
        log,
        onEnded: onChange,
      },
      this.#added.read(),
    );
  }

  mtuBytes(external: ExternalInterface): number {
    return external.mtuBytes;
  }

  async leaseAttrs(external: ExternalInterface): Promise<LeaseAttrs> {
    const attrs = { backendType: this.type, ...publicAddresses(external, this.#families) };
    const output = await this.#runStartup("PreStartupCommand", this.#commands.preStartupCommand, {});
    return { ...attrs, ...(output !== undefined && { backendData: output }) };
  }

  /** What the command printed; undefined when there is none. @throws {BackendError} */
  async #runStartup(
    key: string,
    text: string | undefined,
    variables: Record<string, string>,
  ): Promise<string | undefined> {
    if (text === undefined) return undefined;
    const { log, ns } = this.#options;
    this.#running = runCommand({ key, text, variables, stdin: "", timeoutMs: STARTUP_TIMEOUT_MS, ns });
    try {
      const { stdout, stderr } = await this.#running.done;
      log.info({ stdout, stderr }, `ran Backend.${key}`);
      return stdout;
    } finally {
      this.#running = undefined;
    }
  }

  ensureDevices(): readonly string[] {
    return [];
  }

  findDevices(): readonly string[] {
    return [];
  }

  wanted(own: Lease, peers: readonly Lease[], external: ExternalInterface): WantedState {
    const wanted = this.#usable(own, peers, external).map(
      ({ name }): WantedPeer => ({ key: name, neighbours: [], fdb: [], routes: [] }),
    );
    return { devices: [], peers: wanted, ranges: rangesOf(this.#options.network) };
  }

  #usable(own: Lease, peers: readonly Lease[], external: ExternalInterface): readonly PeerValues[] {
    const self = selfOf(own, external);
    return this.#peers.usable(peers, (lease) => {
      const other = otherBackend(lease, this.type);
      if (other !== undefined) return other;
      const { subnet, ipv6Subnet, attrs } = lease;
      const parts = [
        ...(subnet && this.#families.includes(4) ? [{ subnet, publicIp: attrs.publicIp }] : []),
        ...(ipv6Subnet && this.#families.includes(6)
          ? [{ subnet: ipv6Subnet, publicIp: attrs.publicIpv6 ?? attrs.publicIp }]
          : []),
      ];
      if (parts.length === 0) return "it has no subnet of a family that this node has";
      for (const part of parts) {
        const clash = clashWithSelf(part, self);
        if (clash !== undefined) return clash;
      }
      try {
        const data = parseExtensionBackendData(attrs.backendData);
        return { name: leaseName(lease), variables: variablesOf(lease), data };
      } catch (error) {
        return error instanceof Error ? error.message : String(error);
      }
    });
  }

  async settle(
    own: Lease,
    peers: readonly Lease[],
    external: ExternalInterface,
    skip: (of: string) => boolean,
  ): Promise<readonly StepFailure[]> {
    if (!this.#hasStarted) {
      const { ipv4, ipv6 } = this.#options.network;
      const network = {
        NETWORK: ipv4 ? formatPrefix(ipv4.network) : "",
        IPV6NETWORK: ipv6 ? formatPrefix(ipv6.network) : "",
      };
      await this.#runStartup("PostStartupCommand", this.#commands.postStartupCommand, {
        ...network,
        ...variablesOf(own),
      });
      this.#hasStarted = true;
    }
    return this.#peerCommands.settle(this.#usable(own, peers, external), skip, () => this.#remember());
  }

  /** A node that cannot remember goes on: it only misses the removal of who goes while no agent runs. */
  #remember(): void {
    if (this.#commands.subnetRemoveCommand === undefined) return;
    try {
      this.#added.write(this.#peerCommands.added());
    } catch (error) {
      this.#options.log.warn({ err: error }, "cannot note which peers SubnetAddCommand was run for");
    }
  }

  async stop(): Promise<void> {
    this.#running?.kill();
    await this.#peerCommands.stop();
  }

  removeDevices(): void {}
}

/** What is not there is empty. Values of ours alone, in one form: nothing that another node wrote goes into a word. */
function variablesOf({ subnet, ipv6Subnet, attrs }: Lease): Record<string, string> {
  return {
    SUBNET: subnet ? formatPrefix(subnet) : "",
    IPV6SUBNET: ipv6Subnet ? formatPrefix(ipv6Subnet) : "",
    PUBLIC_IP: attrs.publicIp === NO_IPV4 ? "" : attrs.publicIp,
    PUBLIC_IPV6: attrs.publicIpv6 ?? "",
  };
}

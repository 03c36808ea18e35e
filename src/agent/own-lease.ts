import type { Backend, ExternalInterface } from "../backend/index.ts";
import type { NetworkConfig } from "../formats/flannel/index.ts";
import { isNotFound, type Nft } from "../kernel/index.ts";
import { Masquerade, type MasqueradeConfig, masqueradeTables } from "../masquerade/index.ts";
import type { Lease } from "../subnet/index.ts";
import type { Log } from "./log.ts";
import type { AgentOptions } from "./options.ts";
import { leaseKey } from "./peer-set.ts";
import { writeSubnetFile } from "./subnet-file.ts";
import type { Undo } from "./undo.ts";

export interface OwnLeaseOptions {
  readonly options: AgentOptions;
  readonly network: NetworkConfig;
  readonly backend: Backend;
  readonly external: ExternalInterface;
  readonly own: Lease;
  readonly made: Undo;
  readonly open: Undo;
  readonly log: Log;
}

/** What follows from this node's own subnet beside the datapath: subnet.env and the masquerade rules. */
export class OwnLease {
  readonly #with: OwnLeaseOptions;
  #lease: Lease;
  #nft: Nft | undefined;
  #masquerade: Masquerade | undefined;

  constructor(options: OwnLeaseOptions) {
    this.#with = options;
    this.#lease = options.own;
    options.open.push("stop watching the masquerade rules", () => this.#masquerade?.[Symbol.dispose]());
  }

  get lease(): Lease {
    return this.#lease;
  }

  /** The lease as it is now. Renewed it is the same; another subnet leaves the pods of the old one without a network. */
  set(lease: Lease): void {
    const [before, now] = [leaseKey(this.#lease), leaseKey(lease)];
    this.#lease = lease;
    if (before === now) return;
    this.#with.log.error(
      { before, now },
      `this node's subnet was lost to another node: ${before} is ${now} now; re-create its pods`,
    );
    this.writeSubnetFile();
    if (this.#nft) this.#watchMasquerade(this.#nft);
  }

  writeSubnetFile(): void {
    const { network, backend, external, options, log } = this.#with;
    const { subnet, ipv6Subnet } = this.#lease;
    const hasChanged = writeSubnetFile(options.subnetFile, {
      networks: network.ipv4 ? [network.ipv4.network] : [],
      ipv6Networks: network.ipv6 ? [network.ipv6.network] : [],
      ...(subnet && { subnet }),
      ...(ipv6Subnet && { ipv6Subnet }),
      mtuBytes: backend.mtuBytes(external),
      ipMasq: options.ipMasq,
    });
    if (hasChanged) log.info({ path: options.subnetFile }, `wrote ${options.subnetFile}`);
  }

  /** Masquerade and forward rules from now on, restored whenever somebody changes them. @throws {NftError} */
  useMasquerade(nft: Nft): void {
    const { options, made } = this.#with;
    if (!options.ipMasq && !options.iptablesForwardRules) return;
    this.#nft = nft;
    const had = masqueradeTables(this.#config()).some(({ family, table }) => hasTable(nft, family, table));
    this.#watchMasquerade(nft);
    if (!had) made.push("remove the masquerade rules", () => this.#masquerade?.cleanup());
  }

  #watchMasquerade(nft: Nft): void {
    this.#masquerade?.[Symbol.dispose]();
    this.#masquerade = new Masquerade(nft, this.#config(), this.#with.log);
    this.#masquerade.watch();
  }

  #config(): MasqueradeConfig {
    const { network, options } = this.#with;
    const { subnet, ipv6Subnet } = this.#lease;
    return {
      ...(network.ipv4 && subnet && { ipv4: { network: network.ipv4.network, subnet } }),
      ...(network.ipv6 && ipv6Subnet && { ipv6: { network: network.ipv6.network, subnet: ipv6Subnet } }),
      ipMasq: options.ipMasq,
      forwardRules: options.iptablesForwardRules,
    };
  }
}

function hasTable(nft: Nft, family: string, table: string): boolean {
  try {
    nft.list(`list table ${family} ${table}`);
    return true;
  } catch (error) {
    if (isNotFound(error)) return false;
    throw error;
  }
}

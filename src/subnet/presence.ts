// Two nodes with one PublicIP would take each other for themselves and share a subnet. So each podpath node says under
// which name it is alive, beside the network's keys (which are shared with Flannel nodes), with a short lease.
import { hostname } from "node:os";
import type { LeaseAttrs } from "../formats/flannel/index.ts";
import type { Store } from "../store/index.ts";
import { SubnetError } from "./errors.ts";
import { nameOfNode } from "./lease.ts";

const TTL_SECONDS = 30;
export const PRESENCE_PERIOD_MS: number = (TTL_SECONDS * 1000) / 3;

export interface PresenceOptions {
  readonly store: Store;
  /** Of the network: `/coreos.com/network`. */
  readonly prefix: string;
  /** Default: the host's name. */
  readonly nodeName?: string | undefined;
}

export class Presence {
  readonly #store: Store;
  readonly #prefix: string;
  readonly #nodeName: string;
  #claim: { readonly key: string; readonly lease: bigint } | undefined;

  constructor({ store, prefix, nodeName }: PresenceOptions) {
    this.#store = store;
    this.#prefix = prefix;
    this.#nodeName = nodeName ?? hostname();
  }

  /** From now on this node is alive at this address, and no other. @throws {SubnetError} when another live node has it */
  async claim(attrs: LeaseAttrs): Promise<void> {
    const [key, value] = [this.#keyOf(attrs), this.#value];
    const claim = this.#claim;
    if (claim?.key === key && (await this.#store.keepAlive(claim.lease)) !== undefined) return;
    for (;;) {
      const present = await this.#store.get(key);
      if (present && present.valueText !== value) throw this.#duplicate(attrs, present.valueText);
      const lease = await this.#store.grant(TTL_SECONDS);
      const { succeeded } = await this.#store.txn({
        compare: [{ key, target: "modRevision", value: present?.modRevision ?? 0n }],
        success: [{ op: "put", key, value, lease }],
      });
      if (succeeded) {
        this.#claim = { key, lease };
        // Somebody else may be where we were.
        if (claim && claim.key !== key) await this.#store.revoke(claim.lease);
        return;
      }
      await this.#store.revoke(lease);
    }
  }

  /** The key of a node that is no more; another's stays. @throws {EtcdError} */
  async leave(attrs: LeaseAttrs): Promise<void> {
    const key = this.#keyOf(attrs);
    const present = await this.#store.get(key);
    if (present?.valueText !== this.#value) return;
    await this.#store.txn({
      compare: [{ key, target: "modRevision", value: present.modRevision }],
      success: [{ op: "delete", key }],
    });
  }

  #keyOf(attrs: LeaseAttrs): string {
    return `/podpath/nodes${this.#prefix}/${nameOfNode(attrs)}`;
  }

  get #value(): string {
    return JSON.stringify({ node: this.#nodeName });
  }

  #duplicate(attrs: LeaseAttrs, other: string): SubnetError {
    const ip = nameOfNode(attrs);
    return new SubnetError(
      "duplicate",
      `Cannot acquire a subnet as ${JSON.stringify(this.#nodeName)} with the public IP ${ip}: ` +
        `another live node has it, ${other}; give each node its own (--public-ip, --iface), ` +
        `or wait ${TTL_SECONDS} s if that node has just been stopped or renamed`,
    );
  }
}

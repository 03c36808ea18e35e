import { CNI_ERROR, CniError, toCniError } from "../../formats/cni/index.ts";
import { IptablesError, Nft, NftError } from "../../kernel/index.ts";
import { changeIptables, mayBeThere, whatIptablesLack, whoLacksIptables } from "./iptables-rules.ts";
import { additionText, change, remembered, removalText, whatIsMissing } from "./nft-rules.ts";
import { hasRecord, listRecords, listRemains, removeRecord, retireRecord, writeRecord } from "./records.ts";
import type { Attachment, AttachmentId, KnownAttachment, RuleMaker, RuleTraces } from "./wanted.ts";

/** Which plugin's rules of which attachment. */
export interface RuleOwner {
  /** The plugin's name: part of the record's. */
  readonly plugin: string;
  readonly maker: RuleMaker;
}

/** The netfilter rules of the node's attachments, and the records of who wants them. */
export class HostRules implements Disposable {
  #nft: Nft | undefined;
  /** Called when there is something new to keep. */
  onAdded: () => void = () => {};

  /** @throws {NftError} when nftables is not installed */
  get nft(): Nft {
    this.#nft ??= Nft.open();
    return this.#nft;
  }

  /** One transaction, and one file. What an earlier ADD of the same attachment left goes with it. */
  async add({ plugin, maker }: RuleOwner, attachment: Attachment): Promise<void> {
    const { nft, iptables = [] } = maker.wanted(attachment);
    if (nft.length + iptables.length === 0) return;
    const isKnown = hasRecord(plugin, attachment);
    // First the record: rules that nobody knows of would stay for ever.
    writeRecord(plugin, attachment);
    const traces = maker.traces(attachment);
    if (nft.length > 0) change(this.nft, () => (isKnown ? removalText(this.nft, traces.nft) : "") + additionText(nft));
    if (iptables.length > 0) await changeIptables({ traces: traces.iptables ?? [], wanted: iptables });
    this.onAdded();
  }

  /** Content when there is nothing. */
  async remove({ plugin, maker }: RuleOwner, id: KnownAttachment): Promise<void> {
    retireRecord(plugin, id);
    await this.removeTraces(maker.traces(id));
    removeRecord(plugin, id);
  }

  async removeTraces(traces: RuleTraces): Promise<void> {
    const nft = this.#installedNft();
    if (nft && traces.nft.length > 0) change(nft, () => removalText(nft, traces.nft));
    const iptables = mayBeThere(nft, traces.iptables ?? []);
    if (iptables.length === 0) return;
    try {
      await changeIptables({ traces: iptables, wanted: [] });
    } catch (e) {
      if (!(e instanceof IptablesError) || e.reason !== undefined) throw e; // without iptables nobody made any
    }
  }

  #installedNft(): Nft | undefined {
    try {
      return this.nft;
    } catch (e) {
      if (e instanceof NftError) return undefined;
      throw e;
    }
  }

  /** Whether an ADD of this attachment made rules that no DEL has removed. */
  isKnown({ plugin }: RuleOwner, id: AttachmentId): boolean {
    return hasRecord(plugin, id);
  }

  /** @throws {CniError} naming what is not there */
  async check({ maker }: RuleOwner, attachment: Attachment): Promise<void> {
    const { nft, iptables = [] } = maker.wanted(attachment);
    const missing =
      (nft.length > 0 ? whatIsMissing(remembered(this.nft), nft, maker.traces(attachment).nft) : undefined) ??
      (await whatIptablesLack(iptables));
    if (missing !== undefined)
      throw new CniError(
        CNI_ERROR.internal,
        `${missing} is missing for ${attachment.ifName} of container ${attachment.containerId}: somebody else changed the firewall's rules`,
      );
  }

  /** Makes again what is missing, in one transaction. Returns whose rules those were. */
  async ensure<T extends Attachment>(attachments: readonly (readonly [RuleMaker, T])[]): Promise<T[]> {
    const all = attachments.map(([maker, attachment]) => {
      const { nft, iptables = [] } = maker.wanted(attachment);
      return { attachment, nft, iptables, traces: maker.traces(attachment) };
    });
    const byNft = all.filter(({ nft }) => nft.length > 0);
    const marks = byNft.length > 0 ? remembered(this.nft) : undefined;
    const lacking = byNft.filter(({ nft, traces }) => marks && whatIsMissing(marks, nft, traces.nft) !== undefined);
    if (lacking.length > 0)
      change(
        this.nft,
        () =>
          removalText(
            this.nft,
            lacking.flatMap(({ traces }) => traces.nft),
          ) + additionText(lacking.flatMap(({ nft }) => nft)),
      );
    const lackingIptables = await whoLacksIptables(all.filter(({ iptables }) => iptables.length > 0));
    await changeIptables({
      traces: lackingIptables.flatMap(({ traces }) => traces.iptables ?? []),
      wanted: lackingIptables.flatMap(({ iptables }) => iptables),
    });
    return [...new Set([...lacking, ...lackingIptables].map(({ attachment }) => attachment))];
  }

  /** For GC: everything of `network` that none of `valid` wants. Goes on when one cannot be removed, and says so at the end. */
  async collect(
    owner: RuleOwner,
    network: string,
    valid: readonly AttachmentId[],
    log: (line: string) => void,
  ): Promise<void> {
    const failures: string[] = [];
    const attempt = async (work: () => Promise<void>): Promise<void> => {
      try {
        await work();
      } catch (e) {
        failures.push(toCniError(e).message);
      }
    };
    const isValid = (id: AttachmentId): boolean =>
      valid.some(({ containerId, ifName }) => containerId === id.containerId && ifName === id.ifName);
    for (const record of listRecords(log))
      if (record.plugin === owner.plugin && record.network === network && !isValid(record))
        await attempt(() => this.remove(owner, record));
    for (const id of listRemains(owner.plugin, network)) if (!isValid(id)) await attempt(() => this.remove(owner, id));
    const { strays } = owner.maker;
    if (strays) await attempt(() => this.removeTraces(strays(network, valid)));
    if (failures.length > 0) throw new CniError(CNI_ERROR.internal, failures.join("; "));
  }

  [Symbol.dispose](): void {
    this.#nft?.[Symbol.dispose]();
    this.#nft = undefined;
  }
}

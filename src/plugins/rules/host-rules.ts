import { CNI_ERROR, CniError, toCniError } from "../../formats/cni/index.ts";
import { Nft, NftError } from "../../kernel/index.ts";
import { additionText, change, type Marks, remembered, removalText, whatIsMissing } from "./nft-rules.ts";
import { hasRecord, listRecords, removeRecord, retireRecord, writeRecord } from "./records.ts";
import type { Attachment, AttachmentId, RuleMaker, RuleTraces, WantedRules } from "./wanted.ts";

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
  add({ plugin, maker }: RuleOwner, attachment: Attachment): void {
    const wanted = maker.wanted(attachment);
    if (isNothing(wanted)) return;
    const isKnown = hasRecord(plugin, attachment);
    // First the record: rules that nobody knows of would stay for ever.
    writeRecord(plugin, attachment);
    const { nft: traces } = maker.traces(attachment);
    change(this.nft, () => (isKnown ? removalText(this.nft, traces) : "") + additionText(wanted.nft));
    this.onAdded();
  }

  /** Content when there is nothing. */
  remove({ plugin, maker }: RuleOwner, id: AttachmentId): void {
    retireRecord(plugin, id);
    this.removeTraces(maker.traces(id));
    removeRecord(plugin, id);
  }

  removeTraces({ nft: traces }: RuleTraces): void {
    if (traces.length === 0) return;
    let nft: Nft;
    try {
      nft = this.nft;
    } catch (e) {
      if (e instanceof NftError) return; // without nft nobody made any
      throw e;
    }
    change(nft, () => removalText(nft, traces));
  }

  /** Whether an ADD of this attachment made rules that no DEL has removed. */
  isKnown({ plugin }: RuleOwner, id: AttachmentId): boolean {
    return hasRecord(plugin, id);
  }

  /** @throws {CniError} naming what is not there */
  check({ maker }: RuleOwner, attachment: Attachment): void {
    const missing = this.missing(maker, attachment);
    if (missing !== undefined)
      throw new CniError(
        CNI_ERROR.internal,
        `${missing} is missing for ${attachment.ifName} of container ${attachment.containerId}: somebody else changed the firewall's rules`,
      );
  }

  missing(maker: RuleMaker, attachment: Attachment, marks: Marks = remembered(this.nft)): string | undefined {
    return whatIsMissing(marks, maker.wanted(attachment).nft, maker.traces(attachment).nft);
  }

  /** Makes again what is missing, in one transaction. Returns whose rules those were. */
  ensure<T extends Attachment>(wanted: readonly (readonly [RuleMaker, T])[]): T[] {
    if (wanted.length === 0) return [];
    const marks = remembered(this.nft);
    const lacking = wanted.filter(([maker, attachment]) => this.missing(maker, attachment, marks) !== undefined);
    const rules = lacking.flatMap(([maker, attachment]) => maker.wanted(attachment).nft);
    const traces = lacking.flatMap(([maker, attachment]) => maker.traces(attachment).nft);
    change(this.nft, () => removalText(this.nft, traces) + additionText(rules));
    return lacking.map(([, attachment]) => attachment);
  }

  /** For GC: everything of `network` that none of `valid` wants. Goes on when one cannot be removed, and says so at the end. */
  collect(owner: RuleOwner, network: string, valid: readonly AttachmentId[], log: (line: string) => void): void {
    const failures: string[] = [];
    const attempt = (work: () => void): void => {
      try {
        work();
      } catch (e) {
        failures.push(toCniError(e).message);
      }
    };
    const isValid = (id: AttachmentId): boolean =>
      valid.some(({ containerId, ifName }) => containerId === id.containerId && ifName === id.ifName);
    for (const record of listRecords(log))
      if (record.plugin === owner.plugin && record.network === network && !isValid(record))
        attempt(() => this.remove(owner, record));
    const { strays } = owner.maker;
    if (strays) attempt(() => this.removeTraces(strays(network, valid)));
    if (failures.length > 0) throw new CniError(CNI_ERROR.internal, failures.join("; "));
  }

  [Symbol.dispose](): void {
    this.#nft?.[Symbol.dispose]();
    this.#nft = undefined;
  }
}

function isNothing({ nft }: WantedRules): boolean {
  return nft.length === 0;
}

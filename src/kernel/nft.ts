import type { Family, NftJson } from "../formats/nftables/index.ts";

/** Which changes a watch reports: those of one table, or all. */
export interface NftWatchScope {
  readonly family: Family;
  readonly table: string;
}

export interface NftOptions {
  /** `auto`: libnftables when it is installed, else the `nft` program. */
  readonly engine?: "auto" | "library" | "program";
}

/** nftables in one network namespace. */
export class Nft implements Disposable {
  /** @throws {NftError} when neither libnftables.so.1 nor `nft` is installed */
  static open(ns?: { readonly fd: number }, options: NftOptions = {}): Nft {
    throw new Error(`not yet: ${ns} ${options}`);
  }

  /** Runs `text` as one transaction: all of it, or nothing. @throws {NftError} */
  apply(text: string): void {
    throw new Error(`not yet: ${text}`);
  }

  /** As apply(), but changes nothing. @throws {NftError} */
  check(text: string): void {
    throw new Error(`not yet: ${text}`);
  }

  listRuleset(): NftJson {
    return this.list("list ruleset");
  }

  /** `list table ip flannel-ipv4` and the like, as JSON. @throws {NftError} */
  list(command: string): NftJson {
    throw new Error(`not yet: ${command}`);
  }

  /**
   * Calls `onChange`, a moment after the change, when somebody other than this Nft changed the ruleset (or the one
   * table of `scope`), or when notifications were lost.
   */
  watch(onChange: () => void, scope?: NftWatchScope): Disposable {
    throw new Error(`not yet: ${onChange} ${scope}`);
  }

  [Symbol.dispose](): void {}
}

/** "No such file or directory": a table, chain, set or element that is not there. */
export function isNftNotFound(error: unknown): boolean {
  throw new Error(`not yet: ${error}`);
}

/** "File exists". */
export function isNftAlreadyExists(error: unknown): boolean {
  throw new Error(`not yet: ${error}`);
}

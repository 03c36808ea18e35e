/** nft refused a ruleset: what was asked, what it said and where. */
export class NftError extends Error {
  override name = "NftError";
  /** The offending line of the text. */
  readonly excerpt: string | undefined;
  /** Counted from 1. */
  readonly line: number | undefined;
  /** What nft or the kernel said: `Could not process rule: No such file or directory`. */
  readonly reason: string;
  /** The errno's name behind the kernel's words (`ENOENT`), when it was the kernel that refused. */
  readonly code: string | undefined;

  constructor(
    operation: string,
    details: { reason: string; excerpt?: string | undefined; line?: number | undefined; code?: string | undefined },
  ) {
    super(`Cannot ${operation}: ${details.reason}${details.excerpt ? ` in: ${details.excerpt}` : ""}`);
    this.reason = details.reason;
    this.excerpt = details.excerpt;
    this.line = details.line;
    this.code = details.code;
  }
}

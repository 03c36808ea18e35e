import { constants } from "node:os";
import { errnoCode, strerror } from "./sys.ts";

/** nft refused a ruleset: what was asked, what it said and where. isNotFound() and the others know its `code`. */
export class NftError extends Error {
  override name = "NftError";
  /** What was attempted: `change the ruleset`. */
  readonly operation: string;
  /** What nft or the kernel said: `Could not process rule: No such file or directory`. */
  readonly reason: string;
  /** The offending line of the text. */
  readonly excerpt: string | undefined;
  /** Counted from 1. */
  readonly line: number | undefined;
  /** The name and number of the errno behind the kernel's words, when it was the kernel that refused. */
  readonly code: string | undefined;
  readonly errno: number | undefined;

  constructor(operation: string, details: NftFailure) {
    const { reason, excerpt, line, errno } = details;
    const where = excerpt === undefined ? "" : `, in line ${line}: ${excerpt}`;
    const code = errno === undefined ? undefined : errnoCode(errno);
    super(`Cannot ${operation}: ${reason}${code === undefined ? "" : ` (${code})`}${where}`);
    this.operation = operation;
    this.reason = reason;
    this.excerpt = excerpt;
    this.line = line;
    this.code = code;
    this.errno = errno;
  }
}

export interface NftFailure {
  readonly reason: string;
  readonly excerpt?: string | undefined;
  readonly line?: number | undefined;
  readonly errno?: number | undefined;
}

const EXCERPT_MAX = 200;

/**
 * Reads nft's error output, of which the first error counts:
 *
 *     <cmdline>:3:1-20: Error: Could not process rule: No such file or directory
 *     add rule ip t c accept
 *     ^^^^^^^^^^^^^^^^^^^^
 */
export function parseNftFailure(output: string, text: string): NftFailure {
  const found = /^(?:\S*?:(\d+):\d+(?:-\d+)?: )?(?:netlink: )?Error: (.*)$/m.exec(output);
  if (!found) return { reason: output.trim().split("\n")[0] || "nft gave no reason" };
  const [, lineNumber, words = ""] = found;
  const line = Number(lineNumber) || undefined;
  const excerpt = line === undefined ? undefined : text.split("\n")[line - 1];
  return {
    reason: words,
    ...(excerpt === undefined ? {} : { excerpt: shorten(excerpt), line }),
    errno: errnoOf(words),
  };
}

function shorten(excerpt: string): string {
  return excerpt.length > EXCERPT_MAX ? `${excerpt.slice(0, EXCERPT_MAX)}…` : excerpt;
}

let errnoByWords: Map<string, number> | undefined;

/** nft gives the kernel's answer as strerror()'s words only, at the end of its own. */
function errnoOf(reason: string): number | undefined {
  errnoByWords ??= new Map(Object.values(constants.errno).map((errno) => [strerror(errno), errno]));
  const words =
    reason
      .replace(/ \(you must be root\)$/, "")
      .split(": ")
      .at(-1) ?? "";
  return errnoByWords.get(words);
}

// The words of a line, quoted as xtables_save_string() does it and iptables-restore reads it: double quotes, in which a
// backslash makes the next character stand for itself.
import { IptablesFormatError } from "./errors.ts";

/** A line of iptables-restore holds so much (10,240 in its source, with the end). */
const MAX_LINE = 10_000;

const QUOTED = /"((?:[^"\\]|\\[\s\S])*)"|[^\s"]+/g;

/** Whether a quote is open at the end of `line`, so that the next line belongs to it. @param wasOpen at its start */
export function isOpen(line: string, wasOpen = false): boolean {
  let open = wasOpen;
  // From quote to quote: of a hundred thousand lines, most have one comment.
  for (let at = line.indexOf('"'), from = 0; at >= 0; at = line.indexOf('"', at + 1)) {
    let backslashes = 0;
    while (open && at - backslashes > from && line[at - backslashes - 1] === "\\") backslashes++;
    if (backslashes % 2 === 1) continue;
    open = !open;
    from = at + 1;
  }
  return open;
}

export function splitWords(line: string): string[] {
  return [...line.matchAll(QUOTED)].map(([word, quoted]) => quoted?.replace(/\\([\s\S])/g, "$1") ?? word);
}

/** @throws {IptablesFormatError} for what cannot stand in a line */
export function joinWords(words: readonly string[]): string {
  const line = words.map(quote).join(" ");
  if (line.length > MAX_LINE) throw new IptablesFormatError("print the rule", line, `over ${MAX_LINE} characters`);
  return line;
}

function quote(word: string): string {
  if (/[\0\n\r]/.test(word)) throw new IptablesFormatError("print the word", word, "it has more than one line");
  return /^[\w.:,+=/!@%~-]+$/.test(word) ? word : `"${word.replace(/["\\]/g, "\\$&")}"`;
}

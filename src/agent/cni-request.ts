// What the tiny client sends: argv[0], the CNI_* variables, each ended by a NUL, an empty string, and then stdin.
import { CNI_ERROR, CniError } from "../formats/cni/index.ts";
import type { PluginReply, PluginRequest } from "../plugins/index.ts";

function malformed(why: string): never {
  throw new CniError(CNI_ERROR.decoding, `Cannot read the CNI client's request: ${why}; run podpath install-cni again`);
}

/** @throws {CniError} code 6 */
export function parseCniRequest(bytes: Buffer): PluginRequest {
  const strings: string[] = [];
  for (let at = 0; ; ) {
    const end = bytes.indexOf(0, at);
    if (end < 0) return malformed("its strings have no end");
    const text = bytes.toString("utf8", at, end);
    at = end + 1;
    // argv[0] may be empty; an empty string after it ends the list.
    if (strings.length > 0 && text === "") return makeRequest(strings, bytes.toString("utf8", at));
    strings.push(text);
  }
}

function makeRequest([name = "", ...variables]: readonly string[], stdin: string): PluginRequest {
  const env = variables.map((variable): [string, string] => {
    const [, key, value] = /^(CNI_[^=]*)=(.*)$/s.exec(variable) ?? [];
    return key === undefined || value === undefined
      ? malformed(`${JSON.stringify(variable)} is no CNI_ variable`)
      : [key, value];
  });
  return { name, env: Object.fromEntries(env), stdin };
}

/** The exit code in the first byte, then what goes to stdout. */
export function formatCniReply({ exitCode, stdout }: Pick<PluginReply, "exitCode" | "stdout">): Buffer {
  return Buffer.concat([Buffer.of(exitCode), Buffer.from(stdout)]);
}

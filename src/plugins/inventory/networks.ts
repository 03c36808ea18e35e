import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { CNI_ERROR, CniError, type ConfList, parseConfList } from "../../formats/cni/index.ts";
import { isNotFound } from "../../kernel/index.ts";

/** A network as a file of the runtime's folder describes it; one that cannot be read says why. */
export interface ConfiguredNetwork {
  readonly file: string;
  readonly list?: ConfList;
  readonly error?: string;
}

/** The networks of a node, in the order in which runtimes look (libcni's ConfFiles): the first is the pods'. */
export function readNetworks(confDir: string): ConfiguredNetwork[] {
  return namesIn(confDir)
    .filter((name) => /\.(conflist|conf|json)$/.test(name))
    .map((name) => {
      const file = join(confDir, name);
      try {
        const text = readFileSync(file, "utf8");
        return { file, list: name.endsWith(".conflist") ? parseConfList(text) : ofOnePlugin(text) };
      } catch (e) {
        return { file, error: e instanceof Error ? e.message : String(e) };
      }
    });
}

/** A `.conf` holds a single plugin, which is a list of one. */
function ofOnePlugin(text: string): ConfList {
  const { name, cniVersion, ...plugin } = JSON.parse(text);
  return parseConfList(JSON.stringify({ name, cniVersion, plugins: [plugin] }));
}

function namesIn(confDir: string): string[] {
  try {
    return readdirSync(confDir).sort();
  } catch (cause) {
    if (isNotFound(cause)) return [];
    throw new CniError(
      CNI_ERROR.io,
      `Cannot read the network configurations in ${confDir}: ${(cause as Error).message}`,
      {
        cause,
      },
    );
  }
}

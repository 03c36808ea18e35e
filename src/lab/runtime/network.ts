// A pod's network through CNI, as libcni does it: the first configuration list of the node's folder by name, ADD down
// the chain, DEL up it, and the result kept between the two in libcni's cache format.
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  type CniVersion,
  type ConfList,
  EMPTY_RESULT,
  parseConfList,
  parseJsonObject,
  parseResult,
  pluginStdin,
  type Result,
  resultToJson,
} from "../../formats/cni/index.ts";
import { makeDirectories } from "../../kernel/index.ts";
import type { Anchor } from "../anchor.ts";
import { LabError } from "../errors.ts";
import { CNI_CONF } from "../node.ts";
import { type Attachment, executePlugin } from "./plugin.ts";

/** What runtimes bring themselves: the interface that no administrator configures. */
const LOOPBACK: ConfList = parseConfList(
  '{"cniVersion":"0.3.1","name":"cni-loopback","plugins":[{"type":"loopback"}]}',
);

/** The networks of a pod, in the order they are attached. */
export interface PodNetwork {
  readonly list: ConfList;
  readonly attachment: Attachment;
}

/** Loopback, then the node's own network on eth0. */
export function podNetworks(node: Anchor, pod: Omit<Attachment, "ifName">): PodNetwork[] {
  return [
    { list: LOOPBACK, attachment: { ...pod, ifName: "lo" } },
    { list: nodeNetwork(node), attachment: { ...pod, ifName: "eth0" } },
  ];
}

function nodeNetwork(node: Anchor): ConfList {
  const folder = join(node.root, CNI_CONF);
  const [first] = readdirSync(folder)
    .filter((name) => name.endsWith(".conflist"))
    .sort();
  if (!first) throw new LabError(`run pods on ${node.name}`, { reason: `${CNI_CONF} has no .conflist` });
  return parseConfList(readFileSync(join(folder, first), "utf8"));
}

export async function addNetwork(node: Anchor, { list, attachment }: PodNetwork): Promise<Result> {
  let prevResult: Result | undefined;
  for (const plugin of list.plugins) {
    const stdin = pluginStdin(list, plugin, prevResult ? { prevResult } : {});
    const output = await executePlugin(node.pid, { ...attachment, command: "ADD", type: typeOf(plugin), stdin });
    prevResult = readResult(output, list.cniVersion);
  }
  const result = prevResult ?? EMPTY_RESULT;
  const file = cacheFile(node, list, attachment);
  makeDirectories(join(file, ".."));
  writeFileSync(file, JSON.stringify(cacheEntry(list, attachment, result)), { mode: 0o600 });
  return result;
}

export async function checkNetwork(node: Anchor, { list, attachment }: PodNetwork): Promise<void> {
  if (list.disableCheck) return;
  const prevResult = cachedResult(node, list, attachment);
  for (const plugin of list.plugins) {
    const stdin = pluginStdin(list, plugin, prevResult ? { prevResult } : {});
    await executePlugin(node.pid, { ...attachment, command: "CHECK", type: typeOf(plugin), stdin });
  }
}

/** Undoes addNetwork(), also a half-done one. */
export async function deleteNetwork(node: Anchor, { list, attachment }: PodNetwork): Promise<void> {
  const prevResult = cachedResult(node, list, attachment);
  for (const plugin of [...list.plugins].reverse()) {
    const stdin = pluginStdin(list, plugin, prevResult ? { prevResult } : {});
    await executePlugin(node.pid, { ...attachment, command: "DEL", type: typeOf(plugin), stdin });
  }
  rmSync(cacheFile(node, list, attachment), { force: true });
}

function typeOf(plugin: ConfList["plugins"][number]): string {
  return String(plugin.type ?? "");
}

function readResult(text: string, version: CniVersion): Result {
  return text.trim() === "" ? EMPTY_RESULT : parseResult(parseJsonObject(text, "a plugin's result"), version);
}

function cacheFile(node: Anchor, list: ConfList, { containerId, ifName }: Attachment): string {
  return join(node.root, "var/lib/cni/results", `${list.name}-${containerId}-${ifName}`);
}

function cacheEntry(list: ConfList, { containerId, ifName }: Attachment, result: Result): object {
  return {
    kind: "cniCacheV1",
    containerId,
    config: Buffer.from(JSON.stringify(list)).toString("base64"),
    ifName,
    networkName: list.name,
    result: resultToJson(result, list.cniVersion),
  };
}

function cachedResult(node: Anchor, list: ConfList, attachment: Attachment): Result | undefined {
  try {
    const entry = parseJsonObject(readFileSync(cacheFile(node, list, attachment), "utf8"), "a cached result");
    return parseResult(parseJsonObject(JSON.stringify(entry.result), "a cached result"), list.cniVersion);
  } catch {
    // DEL has to work without it.
    return undefined;
  }
}

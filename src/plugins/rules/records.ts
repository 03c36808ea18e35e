// One file for each plugin and attachment that wants rules: what was asked and answered. The agent makes rules again
// from them when a firewall's reload took them away. They are on a tmpfs, because rules and containers do not survive
// a reboot either.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  CNI_VERSIONS,
  type JsonObject,
  objectField,
  parseJsonObject,
  parseResult,
  readNetConf,
  resultToJson,
  stringField,
  withoutFields,
} from "../../formats/cni/index.ts";
import { isNotFound, makeDirectories } from "../../kernel/index.ts";
import type { Attachment, AttachmentId, KnownAttachment } from "./wanted.ts";

export const RECORDS_FOLDER = "/run/podpath/cni";

export interface AttachmentRecord extends Attachment {
  readonly plugin: string;
  /** The inode of the namespace: its path may hold another one day. */
  readonly netnsInode: string;
}

/** Linux' NAME_MAX, less what beginnings and retired ones have in front. The specification limits neither an ID nor a network's name. */
const BEGINNING = ".new:";
const MAX_NAME_BYTES: number = 255 - BEGINNING.length;

/** Names are of the specification's character set, an interface's has no colon. */
function nameOf(plugin: string, { network, containerId, ifName }: AttachmentId): string {
  const name = [plugin, network, containerId, ifName].join(":");
  if (Buffer.byteLength(name) <= MAX_NAME_BYTES) return name;
  return `${plugin}:sha256:${createHash("sha256").update(name).digest("hex")}`;
}

function fileOf(plugin: string, id: AttachmentId): string {
  return join(RECORDS_FOLDER, nameOf(plugin, id));
}

/** While DEL is at it: the rules are wanted by nobody any more, but may still be there. */
function retiredFileOf(plugin: string, id: AttachmentId): string {
  return join(RECORDS_FOLDER, `.${nameOf(plugin, id)}`);
}

/** Not whole yet. ADDs of one attachment never run side by side. */
function beginningOf(plugin: string, id: AttachmentId): string {
  return join(RECORDS_FOLDER, BEGINNING + nameOf(plugin, id));
}

export function writeRecord(plugin: string, attachment: Attachment): void {
  const { network, containerId, ifName, netns, conf, result } = attachment;
  const document: JsonObject = {
    plugin,
    network,
    containerId,
    ifName,
    netns,
    netnsInode: inodeOf(netns) ?? "",
    conf: withoutFields(conf.raw, ["prevResult"]),
    result: resultToJson(result, "1.1.0"),
  };
  const path = fileOf(plugin, attachment);
  const temporary = beginningOf(plugin, attachment);
  const write = (): void => writeFileSync(temporary, JSON.stringify(document), { mode: 0o600 });
  try {
    write();
  } catch (e) {
    if (!isNotFound(e)) throw e;
    makeDirectories(RECORDS_FOLDER, 0o700);
    write();
  }
  renameSync(temporary, path);
}

export function hasRecord(plugin: string, id: AttachmentId): boolean {
  const isThere = (path: string): boolean => statSync(path, { throwIfNoEntry: false }) !== undefined;
  return isThere(fileOf(plugin, id)) || isThere(retiredFileOf(plugin, id));
}

/** From now on nobody makes its rules again. */
export function retireRecord(plugin: string, id: AttachmentId): void {
  try {
    renameSync(fileOf(plugin, id), retiredFileOf(plugin, id));
  } catch (e) {
    if (!isNotFound(e)) throw e;
  }
}

/** undefined when there is none. @throws {CniError} when it cannot be read */
export function findRecord(plugin: string, id: AttachmentId): AttachmentRecord | undefined {
  for (const path of [fileOf(plugin, id), retiredFileOf(plugin, id)])
    try {
      return parseRecord(readFileSync(path, "utf8"), path);
    } catch (e) {
      if (!isNotFound(e)) throw e;
    }
  return undefined;
}

export function removeRecord(plugin: string, id: AttachmentId): void {
  for (const fileOfKind of [fileOf, retiredFileOf, beginningOf]) rmSync(fileOfKind(plugin, id), { force: true });
}

/** Of whom an ADD or a DEL of `plugin` in `network` was killed half-way. */
export function listRemains(plugin: string, network: string): KnownAttachment[] {
  return allNamesIn(RECORDS_FOLDER).flatMap((name): KnownAttachment[] => {
    if (name.startsWith(BEGINNING)) {
      const [its, theirs, containerId, ifName] = name.slice(BEGINNING.length).split(":");
      return its === plugin && theirs === network && containerId && ifName ? [{ network, containerId, ifName }] : [];
    }
    if (!name.startsWith(`.${plugin}:`)) return [];
    try {
      const record = parseRecord(readFileSync(join(RECORDS_FOLDER, name), "utf8"), name);
      return record.network === network ? [record] : [];
    } catch {
      return []; // it went while we looked, or is nothing of ours
    }
  });
}

// Records are written once, so a file that is known by its inode is not read again.
const known = new Map<string, { readonly inode: number; readonly record: AttachmentRecord }>();

/** Every record of the node; one that cannot be read is told to `log` and passed over. */
export function listRecords(log: (line: string) => void): AttachmentRecord[] {
  const names = namesIn(RECORDS_FOLDER);
  for (const name of known.keys()) if (!names.has(name)) known.delete(name);
  return [...names].flatMap((name) => {
    const path = join(RECORDS_FOLDER, name);
    try {
      const { ino: inode } = statSync(path);
      const seen = known.get(name);
      if (seen?.inode === inode) return [seen.record];
      const record = parseRecord(readFileSync(path, "utf8"), path);
      known.set(name, { inode, record });
      return [record];
    } catch (e) {
      if (!isNotFound(e)) log(`Cannot read ${path}: ${e instanceof Error ? e.message : String(e)}`);
      return [];
    }
  });
}

function namesIn(folder: string): Set<string> {
  return new Set(allNamesIn(folder).filter((name) => !name.startsWith(".")));
}

function allNamesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (e) {
    if (isNotFound(e)) return [];
    throw e;
  }
}

function parseRecord(text: string, path: string): AttachmentRecord {
  const document = parseJsonObject(text, path);
  const string = (key: string): string => stringField(document, key) ?? "";
  return {
    plugin: string("plugin"),
    network: string("network"),
    containerId: string("containerId"),
    ifName: string("ifName"),
    netns: string("netns"),
    netnsInode: string("netnsInode"),
    conf: readNetConf(objectField(document, "conf") ?? {}, CNI_VERSIONS),
    result: parseResult(objectField(document, "result") ?? {}, "1.1.0"),
  };
}

/** Whether the container's namespace is still there. */
export function isLive({ netns, netnsInode }: Pick<AttachmentRecord, "netns" | "netnsInode">): boolean {
  return netnsInode !== "" && inodeOf(netns) === netnsInode;
}

function inodeOf(path: string): string | undefined {
  const stat = statSync(path, { throwIfNoEntry: false, bigint: true });
  return stat && `${stat.dev}:${stat.ino}`;
}

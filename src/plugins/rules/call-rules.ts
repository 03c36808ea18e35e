// What the verbs of a plugin that wants rules have in common.
import { CNI_ERROR, CniError, EMPTY_RESULT, type Result, validAttachments } from "../../formats/cni/index.ts";
import type { Call } from "../plugin.ts";
import type { RuleOwner } from "./host-rules.ts";
import { findRecord } from "./records.ts";
import type { Attachment, AttachmentId } from "./wanted.ts";

export function idOf({ conf, containerId, ifName }: Call): AttachmentId {
  return { network: conf.name, containerId, ifName };
}

function attachmentOf(call: Call, result: Result): Attachment {
  return { ...idOf(call), netns: call.netns, conf: call.conf, result };
}

export async function addRules(call: Call, owner: RuleOwner, result: Result): Promise<void> {
  const { rules } = call.host;
  const isNew = !rules.isKnown(owner, idOf(call));
  if (isNew)
    call.undo.push(`the firewall rules of ${call.ifName}`, () => rules.remove(owner, { ...idOf(call), result }));
  await rules.add(owner, attachmentOf(call, result));
}

/** @param isAsked whether the configuration wants rules; it may have wanted some at ADD even if it does not now */
export async function removeRules(call: Call, owner: RuleOwner, isAsked: boolean): Promise<void> {
  const { rules } = call.host;
  const id = idOf(call);
  const isKnown = rules.isKnown(owner, id);
  if (isAsked || isKnown)
    await rules.remove(owner, { ...id, result: call.conf.prevResult ?? recordedResult(call, owner) });
}

function recordedResult(call: Call, owner: RuleOwner): Result | undefined {
  try {
    return findRecord(owner.plugin, idOf(call))?.result;
  } catch (e) {
    call.log(e instanceof Error ? e.message : String(e));
    return undefined;
  }
}

/** @throws {CniError} naming what is missing */
export async function checkRules(call: Call, owner: RuleOwner): Promise<void> {
  await call.host.rules.check(owner, attachmentOf(call, call.conf.prevResult ?? EMPTY_RESULT));
}

/** Nothing without a list of who is valid. @throws {CniError} when something could not be removed */
export async function collectRules(call: Call, owner: RuleOwner): Promise<void> {
  const valid = validAttachments(call.conf.raw);
  if (!valid) return;
  const network = call.conf.name;
  const ids = valid.map(({ containerId, ifName }) => ({ network, containerId, ifName }));
  await call.host.rules.collect(owner, network, ids, call.log);
}

/** The result that a chained plugin adds to. @throws {CniError} code 7 */
export function requirePrevResult(call: Call, plugin: string): Result {
  const { prevResult } = call.conf;
  if (prevResult) return prevResult;
  throw new CniError(
    CNI_ERROR.invalidNetworkConfig,
    `${plugin}: must be called as chained plugin: the configuration has no "prevResult"; name it after the plugin that makes the interface`,
  );
}

// The meta plugin: it makes a bridge configuration of the node's subnet and hands the work on.
import {
  CNI_ERROR,
  CniError,
  field,
  type JsonObject,
  type NetConf,
  type Result,
  stringField,
  toCniError,
  validAttachments,
} from "../../formats/cni/index.ts";
import type { SubnetEnv } from "../../formats/flannel/index.ts";
import type { Call, Plugin } from "../plugin.ts";
import { remembered } from "../remember.ts";
import { delegateConf, formatSorted } from "./delegate-conf.ts";
import { DEFAULT_DATA_DIR, listScratch, readScratch, removeScratch, writeScratch } from "./scratch.ts";
import { DEFAULT_SUBNET_FILE, readSubnetFile } from "./subnet-file.ts";

export const flannel: Plugin = {
  async add(call: Call): Promise<Result> {
    const conf = wantedConf(call);
    const dataDir = dataDirOf(call);
    const before = readScratch(dataDir, call.containerId, () => {});
    writeScratch(dataDir, call.containerId, textOf(conf));
    // An ADD that fails because the interface is there already must leave the first one's file as it was.
    call.undo.push("the scratch file", () =>
      before ? writeScratch(dataDir, call.containerId, formatSorted(before)) : removeScratch(dataDir, call.containerId),
    );
    return delegated("add", call.delegate(conf));
  },

  async del(call: Call): Promise<void> {
    const dataDir = dataDirOf(call);
    // Without it the reference does nothing and leaks the address; what ADD would give the delegate today is the best guess.
    const conf = readScratch(dataDir, call.containerId, call.log) ?? guessedConf(call);
    if (conf) await delegated("del", call.delegate(withPrevResult(conf, call)));
    removeScratch(dataDir, call.containerId); // only now: a failed DEL is tried again
  },

  async check(call: Call): Promise<void> {
    const conf = readScratch(dataDirOf(call), call.containerId, call.log) ?? wantedConf(call);
    await delegated("check", call.delegate(withPrevResult(conf, call)));
  },

  async status(call: Call): Promise<void> {
    let conf: JsonObject;
    try {
      conf = wantedConf(call);
    } catch (e) {
      const { message, details } = toCniError(e);
      throw new CniError(CNI_ERROR.pluginNotAvailable, message, { details, cause: e });
    }
    await delegated("status", call.delegate(conf));
  },

  async gc(call: Call): Promise<void> {
    const valid = validAttachments(call.conf.raw);
    if (!valid) return;
    const conf = guessedConf(call);
    if (conf)
      await delegated(
        "gc",
        call.delegate({ ...conf, "cni.dev/valid-attachments": call.conf.raw["cni.dev/valid-attachments"] }),
      );
    const wanted = new Set(valid.map(({ containerId }) => containerId));
    for (const containerId of listScratch(dataDirOf(call)))
      if (!wanted.has(containerId)) removeScratch(dataDirOf(call), containerId);
  },
};

function dataDirOf(call: Call): string {
  return stringField(call.conf.raw, "dataDir") ?? DEFAULT_DATA_DIR;
}

const delegateOf = remembered((conf: NetConf) => remembered((subnet: SubnetEnv) => delegateConf(conf, subnet)));
const textOf = remembered(formatSorted);

function wantedConf(call: Call): JsonObject {
  return delegateOf(call.conf)(readSubnetFile(stringField(call.conf.raw, "subnetFile") ?? DEFAULT_SUBNET_FILE));
}

function guessedConf(call: Call): JsonObject | undefined {
  try {
    return wantedConf(call);
  } catch (e) {
    call.log(toCniError(e).message);
    return undefined;
  }
}

/** The delegate's result is ours, so what the runtime hands back of it is for the delegate. */
function withPrevResult(conf: JsonObject, call: Call): JsonObject {
  const prevResult = field(call.conf.raw, "prevResult");
  return prevResult === undefined ? conf : { ...conf, prevResult };
}

async function delegated<T>(verb: string, outcome: Promise<T>): Promise<T> {
  try {
    return await outcome;
  } catch (e) {
    const { code, message, details } = toCniError(e);
    throw new CniError(code, `failed to delegate ${verb}: ${message}`, { details, cause: e });
  }
}

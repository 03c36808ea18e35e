// What every plugin does the same way (the reference library's pkg/skel): verbs, environment, configuration, version
// gates, and one JSON document on stdout whatever happens.
import { basename } from "node:path";
import {
  CNI_ERROR,
  CNI_VERSIONS,
  type CniCall,
  CniError,
  type CniVersion,
  EMPTY_RESULT,
  type Environment,
  formatError,
  formatResult,
  formatVersions,
  isAtLeast,
  type JsonObject,
  parseCall,
  parseNetConf,
  type Result,
  readNetConf,
  stringField,
  toCniError,
} from "../formats/cni/index.ts";
import { executePlugin } from "./execute.ts";
import { Host } from "./host.ts";
import type { Call, Plugin } from "./plugin.ts";
import { PLUGINS } from "./registry.ts";
import { remembered, rememberedText } from "./remember.ts";
import { UndoStack } from "./undo.ts";

export interface PluginRequest {
  /** argv[0]: its last path component names the plugin. */
  readonly name: string;
  /** The CNI_* variables, and whatever else an executed delegate shall have. */
  readonly env: Environment;
  readonly stdin: string;
}

export interface PluginReply {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** From which version on a configuration may be asked this. */
const SINCE: { readonly [command in CniCall["command"]]?: CniVersion } = {
  CHECK: "0.4.0",
  GC: "1.1.0",
  STATUS: "1.1.0",
};

/**
 * Runs one CNI call. Never throws: every failure is a reply holding the specification's error JSON.
 * @param kept what a process that runs many calls keeps between them
 */
export async function runPlugin(request: PluginRequest, kept?: Host): Promise<PluginReply> {
  if (kept) return run(request, kept);
  using host = new Host();
  return await run(request, host);
}

async function run(request: PluginRequest, host: Host): Promise<PluginReply> {
  const name = basename(request.name);
  const lines: string[] = [];
  const reply = (exitCode: number, stdout: string): PluginReply => ({
    exitCode,
    stdout,
    stderr: lines.map((line) => `${line}\n`).join(""),
  });
  if (!request.env.CNI_COMMAND) {
    lines.push(`podpath CNI plugin ${name}: CNI protocol versions supported: ${CNI_VERSIONS.join(", ")}`);
    return reply(0, "");
  }
  let version: CniVersion | undefined;
  try {
    const cni = parseCall(request.env);
    const plugin = PLUGINS.get(name);
    if (!plugin)
      throw new CniError(
        CNI_ERROR.invalidEnvironment,
        `podpath has no plugin ${JSON.stringify(name)}: call it as one of ${[...PLUGINS.keys()].join(", ")}`,
      );
    if (cni.command === "VERSION") return reply(0, formatVersions(CNI_VERSIONS));
    // Only ADD's is the same for pod after pod: the others have the result of one.
    const conf = cni.command === "ADD" ? knownConf(request.stdin) : parseNetConf(request.stdin, CNI_VERSIONS);
    version = conf.cniVersion;
    const since = SINCE[cni.command];
    if (since && !isAtLeast(version, since))
      throw new CniError(CNI_ERROR.incompatibleVersion, `config version does not allow ${cni.command}`, {
        details: `config is ${JSON.stringify(version)}, ${cni.command} needs ${JSON.stringify(since)} or later`,
      });
    refuseOwnNetns(cni, host);
    const call = makeCall({ ...cni, conf, env: request.env, host, log: (line) => lines.push(line) });
    return reply(0, await runVerb(plugin, call, (result) => formatResult(result, conf.cniVersion)));
  } catch (thrown) {
    return reply(1, formatError(toCniError(thrown), version));
  }
}

const knownConf = rememberedText((text) => parseNetConf(text, CNI_VERSIONS));
const confOf = remembered((raw: JsonObject) => readNetConf(raw, CNI_VERSIONS));

/** Before anything is done: the reference plugins look only afterwards, and print a result and an error. */
function refuseOwnNetns({ netns, mayUseOwnNetns }: CniCall, host: Host): void {
  if (netns === "" || mayUseOwnNetns || !host.netns.isAt(netns)) return;
  throw new CniError(
    CNI_ERROR.invalidNetns,
    `CNI_NETNS ${netns} is the plugin's own namespace: give the container's, or set CNI_NETNS_OVERRIDE=1`,
  );
}

/** flannel, bridge, host-local: two. A plugin that is its own delegate would go on for ever. */
const MAX_DELEGATIONS = 8;

function makeCall(parts: Omit<Call, "undo" | "delegate">): Call {
  const call: Call = {
    ...parts,
    undo: new UndoStack(),
    delegate: (conf, command = parts.command) => delegate({ ...call, command }, conf, 1),
  };
  return call;
}

/**
 * One verb of one plugin, and its document: ADD's is made by `format`. A failed ADD is undone before its error goes on;
 * so is one whose result cannot be told in the version that was asked for.
 */
async function runVerb(plugin: Plugin, call: Call, format: (result: Result) => string): Promise<string> {
  switch (call.command) {
    case "ADD":
      try {
        return format(await plugin.add(call));
      } catch (thrown) {
        const failures = await call.undo.run();
        const { code, message, details, cause } = toCniError(thrown);
        throw new CniError(code, message, {
          details: [details, ...failures].filter((part) => part !== "").join("; "),
          cause,
        });
      }
    case "DEL":
      await plugin.del(call);
      return "";
    case "CHECK":
      await plugin.check(call);
      return "";
    case "STATUS":
      await plugin.status(call);
      return "";
    case "GC":
      await plugin.gc(call);
      return "";
    case "VERSION":
      return "";
  }
}

async function delegate(call: Call, conf: JsonObject, depth: number): Promise<Result> {
  const type = stringField(conf, "type") ?? "";
  if (depth > MAX_DELEGATIONS)
    throw new CniError(
      CNI_ERROR.invalidNetworkConfig,
      `Cannot delegate to ${JSON.stringify(type)}: that would be delegation number ${depth}, so the configuration leads ` +
        `in a circle; look at its "ipam" and "delegate" for a plugin that is its own`,
    );
  const ours = PLUGINS.get(type);
  if (!ours) return delegateToFile(call, type, JSON.stringify(conf));
  const inner: Call = {
    ...call,
    conf: confOf(conf),
    delegate: (innerConf, command = call.command) => delegate({ ...inner, command }, innerConf, depth + 1),
  };
  // Not runVerb: a failed ADD is undone by whoever began the stack, and only once.
  if (call.command === "ADD") return ours.add(inner);
  await runVerb(ours, inner, () => "");
  return EMPTY_RESULT;
}

/** An executed ADD that failed may have done half of its work, so its DEL follows at once; one that succeeded is undone by DEL. */
async function delegateToFile(call: Call, type: string, stdin: string): Promise<Result> {
  const execute = (command: CniCall["command"]): Promise<Result> =>
    executePlugin({
      type,
      path: call.path,
      env: { ...call.env, CNI_COMMAND: command },
      stdin,
      cniVersion: call.conf.cniVersion,
      log: call.log,
    });
  if (call.command === "ADD") call.undo.push(`ADD of ${type}`, () => execute("DEL").then(() => {}));
  return execute(call.command);
}

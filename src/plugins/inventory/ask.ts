// STATUS and GC of whole networks, for people: what a runtime of CNI 1.1.0 does with a network, whatever version its
// configuration has.
import { type ConfList, field, type JsonObject, stringField, withFields } from "../../formats/cni/index.ts";
import { executePlugin } from "../execute.ts";
import { PLUGINS } from "../registry.ts";
import { runPlugin } from "../skel.ts";
import type { NodeAttachment } from "./attachments.ts";

/** What one plugin of a network said. */
export interface PluginSays {
  readonly network: string;
  readonly plugin: string;
  /** undefined: all is well. */
  readonly error?: string;
  /** Why it was not asked. */
  readonly skipped?: string;
}

export function askStatus(list: ConfList, binDir: string): Promise<PluginSays[]> {
  return ask(list, binDir, "STATUS", {});
}

/** Frees what the network holds for anybody but `live`. */
export function collectGarbage(list: ConfList, binDir: string, live: readonly NodeAttachment[]): Promise<PluginSays[]> {
  const valid = live
    .filter(({ network }) => network === list.name)
    // Old files do not name the interface, which is eth0 wherever a runtime does not say.
    .map(({ containerId, ifName }) => ({ containerID: containerId, ifname: ifName || "eth0" }));
  return ask(list, binDir, "GC", { "cni.dev/valid-attachments": valid });
}

async function ask(list: ConfList, binDir: string, command: "STATUS" | "GC", more: JsonObject): Promise<PluginSays[]> {
  const answers: PluginSays[] = [];
  for (const plugin of list.plugins) {
    const type = stringField(plugin, "type") ?? "";
    const who = { network: list.name, plugin: type };
    const env = { CNI_COMMAND: command, CNI_PATH: binDir };
    if (PLUGINS.has(type)) {
      const stdin = JSON.stringify(withFields(plugin, { name: list.name, cniVersion: "1.1.0", ...more }));
      const reply = await runPlugin({ name: type, env, stdin });
      answers.push(reply.exitCode === 0 ? who : { ...who, error: errorOf(reply.stdout) });
    } else if (list.cniVersion !== "1.1.0")
      answers.push({ ...who, skipped: `somebody else's plugin, and ${command} needs cniVersion 1.1.0` });
    else {
      const stdin = JSON.stringify(withFields(plugin, { name: list.name, cniVersion: "1.1.0", ...more }));
      const call = { type, path: [binDir], env, stdin, cniVersion: list.cniVersion, log: () => {} } as const;
      answers.push(
        await executePlugin(call).then(
          () => who,
          (e: Error) => ({ ...who, error: e.message }),
        ),
      );
    }
  }
  return answers;
}

function errorOf(stdout: string): string {
  const document = JSON.parse(stdout) as JsonObject;
  return [field(document, "msg"), field(document, "details")]
    .filter((part) => part !== undefined && part !== "")
    .join(": ");
}

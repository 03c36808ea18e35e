import { isCniName } from "./env.ts";
import { CNI_ERROR, CniError } from "./errors.ts";
import { field, type JsonObject, objectField, objectsField, parseJsonObject, stringField, withFields } from "./json.ts";
import { type Result, resultToJson } from "./result.ts";
import { CNI_VERSIONS, type CniVersion, requireVersion } from "./version.ts";

/** A network: the plugins that a runtime executes one after another, from a `.conflist` file. */
export interface ConfList {
  readonly cniVersion: CniVersion;
  readonly name: string;
  readonly disableCheck: boolean;
  readonly plugins: readonly JsonObject[];
}

/** @throws {CniError} 1, 6 or 7 */
export function parseConfList(text: string): ConfList {
  const raw = parseJsonObject(text, "the network configuration list");
  const cniVersion = stringField(raw, "cniVersion") ?? "0.1.0";
  requireVersion(cniVersion, CNI_VERSIONS);
  const name = stringField(raw, "name") ?? "";
  if (!isCniName(name))
    throw new CniError(
      CNI_ERROR.invalidNetworkConfig,
      `invalid network name ${JSON.stringify(name)} in configuration list`,
    );
  const plugins = objectsField(raw, "plugins") ?? [];
  if (plugins.length === 0)
    throw new CniError(
      CNI_ERROR.invalidNetworkConfig,
      `network ${JSON.stringify(name)} has no plugins; "plugins" must list at least one`,
    );
  for (const plugin of plugins)
    if (!stringField(plugin, "type"))
      throw new CniError(CNI_ERROR.invalidNetworkConfig, `network ${JSON.stringify(name)} has a plugin without "type"`);
  // A boolean may be spelled as a string here, as libcni allows.
  const disableCheck = field(raw, "disableCheck");
  return { cniVersion, name, disableCheck: disableCheck === true || disableCheck === "true", plugins };
}

/** What the runtime adds to one plugin's configuration before it goes to stdin. */
export interface RuntimeParts {
  readonly prevResult?: Result;
  /** Only those go on that the plugin's `capabilities` has as true. */
  readonly capabilityArgs?: JsonObject;
}

/** The text for stdin of `plugin` in a chain, as libcni makes it (it leaves `capabilities` in, against the specification). */
export function pluginStdin(list: ConfList, plugin: JsonObject, parts: RuntimeParts = {}): string {
  const capabilities = objectField(plugin, "capabilities") ?? {};
  const args = Object.entries(parts.capabilityArgs ?? {}).filter(([name]) => capabilities[name] === true);
  return JSON.stringify(
    withFields(plugin, {
      name: list.name,
      cniVersion: list.cniVersion,
      ...(args.length > 0 ? { runtimeConfig: Object.fromEntries(args) } : {}),
      ...(parts.prevResult ? { prevResult: resultToJson(parts.prevResult, list.cniVersion) } : {}),
    }),
  );
}

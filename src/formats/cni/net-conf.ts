import { type Dns, parseDns } from "./dns.ts";
import { isCniName } from "./env.ts";
import { CNI_ERROR, CniError } from "./errors.ts";
import { field, isObject, type JsonObject, objectField, parseJsonObject, stringField } from "./json.ts";
import { parseResult, type Result } from "./result.ts";
import { type CniVersion, requireVersion } from "./version.ts";

/** The part of a plugin's configuration (stdin) that all plugins share; the rest is read from `raw`, by its key in any case. */
export interface NetConf {
  readonly cniVersion: CniVersion;
  readonly name: string;
  readonly type: string;
  readonly ipam?: JsonObject;
  readonly dns: Dns;
  readonly runtimeConfig: JsonObject;
  readonly args: JsonObject;
  readonly prevResult?: Result;
  readonly raw: JsonObject;
}

/** The version a configuration asks for, for an error document about a configuration that is otherwise unreadable. */
export function cniVersionOf(raw: JsonObject): string {
  const version = field(raw, "cniVersion");
  if (version !== undefined && typeof version !== "string")
    throw new CniError(CNI_ERROR.decoding, `Cannot decode the configuration: "cniVersion" must be a string`);
  return version || "0.1.0";
}

/** @throws {CniError} 1, 6 or 7 */
export function parseNetConf(text: string, supported: readonly CniVersion[]): NetConf {
  return readNetConf(parseJsonObject(text, "the network configuration on stdin"), supported);
}

/** As parseNetConf(), of a configuration that was never text. */
export function readNetConf(raw: JsonObject, supported: readonly CniVersion[]): NetConf {
  const cniVersion = cniVersionOf(raw);
  requireVersion(cniVersion, supported);
  const name = stringField(raw, "name") ?? "";
  if (name === "") throw new CniError(CNI_ERROR.invalidNetworkConfig, "missing network name");
  if (!isCniName(name))
    throw new CniError(
      CNI_ERROR.invalidNetworkConfig,
      `invalid characters found in network name: ${JSON.stringify(name)}`,
    );
  const ipam = objectField(raw, "ipam");
  const prevResult = objectField(raw, "prevResult");
  return {
    cniVersion,
    name,
    type: stringField(raw, "type") ?? "",
    // `"ipam": {}` is how the reference spells "layer 2 only".
    ...(ipam && Object.keys(ipam).length > 0 ? { ipam } : {}),
    dns: parseDns(objectField(raw, "dns")),
    runtimeConfig: objectField(raw, "runtimeConfig") ?? {},
    args: objectField(objectField(raw, "args") ?? {}, "cni") ?? {},
    ...(prevResult ? { prevResult: parseResult(prevResult, cniVersion) } : {}),
    raw,
  };
}

/** A container and interface that is still wanted: an element of GC's `cni.dev/valid-attachments`. */
export interface Attachment {
  readonly containerId: string;
  readonly ifName: string;
}

/** Undefined when the runtime sent no list: then nothing is known to be stale. The key before 1.1.0 was final is read too. */
export function validAttachments(raw: JsonObject): readonly Attachment[] | undefined {
  const list = field(raw, "cni.dev/valid-attachments") ?? field(raw, "cni.dev/attachments");
  if (list === undefined) return undefined;
  const fail = (): never => {
    throw new CniError(
      CNI_ERROR.invalidNetworkConfig,
      `Cannot read "cni.dev/valid-attachments": want an array of {"containerID", "ifname"}`,
    );
  };
  if (!Array.isArray(list)) return fail();
  return list.map((item: unknown) => {
    const [containerId, ifName] = isObject(item) ? [stringField(item, "containerID"), stringField(item, "ifname")] : [];
    return containerId && ifName ? { containerId, ifName } : fail();
  });
}

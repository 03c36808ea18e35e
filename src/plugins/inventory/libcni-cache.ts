// libcni's record of each attachment (`/var/lib/cni/results/<network>-<container>-<interface>`), which runtimes that use
// the library keep from ADD to DEL.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { isObject, objectField, objectsField, parseJsonObject, stringField } from "../../formats/cni/index.ts";
import { type IpAddress, parsePrefix } from "../../formats/netip/index.ts";
import { isNotFound } from "../../kernel/index.ts";

export interface CachedAttachment {
  readonly network: string;
  readonly containerId: string;
  readonly ifName: string;
  readonly netns: string;
  readonly addresses: readonly IpAddress[];
}

/** What can be read of the folder; a file that cannot, tells nothing. */
export function readCache(folder: string): CachedAttachment[] {
  let names: string[] = [];
  try {
    names = readdirSync(folder);
  } catch (e) {
    if (!isNotFound(e)) throw e;
  }
  return names.flatMap((name) => {
    try {
      const entry = parseJsonObject(readFileSync(join(folder, name), "utf8"), name);
      const [network, containerId] = [stringField(entry, "networkName"), stringField(entry, "containerId")];
      const ifName = stringField(entry, "ifName");
      if (!network || !containerId || !ifName) return [];
      const result = objectField(entry, "result");
      const ips = (isObject(result) && objectsField(result, "ips")) || [];
      const addresses = ips.map((ip) => parsePrefix(stringField(ip, "address") ?? "").address);
      return [{ network, containerId, ifName, netns: stringField(entry, "netns") ?? "", addresses }];
    } catch {
      return [];
    }
  });
}

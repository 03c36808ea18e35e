// What an interface was before: `<dataDir>/<containerID>_<interface>.json`, as the reference plugin writes it.
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { booleanField, integerField, type JsonObject, parseJsonObject, stringField } from "../../formats/cni/index.ts";
import { parseMac } from "../../formats/netip/index.ts";
import { IFF_ALLMULTI, IFF_PROMISC, type Link, type LinkChange } from "../../formats/netlink/index.ts";
import { isAlreadyExists, makeDirectories } from "../../kernel/index.ts";
import type { TuningConf } from "./conf.ts";

type Place = { readonly dataDir: string; readonly containerId: string; readonly ifName: string };

function fileOf({ dataDir, containerId, ifName }: Place): string {
  return join(dataDir, `${containerId}_${ifName}.json`);
}

/** Only what the configuration changes. One that is there is of an ADD before, and older: it stays. */
export function writeBackup(place: Place, link: Link, conf: TuningConf): void {
  const before: JsonObject = {
    ...(conf.mac ? { mac: link.address } : {}),
    ...(conf.promisc ? { promisc: (link.flags & IFF_PROMISC) !== 0 } : {}),
    ...(conf.mtu ? { mtu: link.mtu } : {}),
    ...(conf.allmulti ? { allmulti: (link.flags & IFF_ALLMULTI) !== 0 } : {}),
    ...(conf.txQLen === undefined ? {} : { txQLen: link.txQueueLength }),
  };
  if (Object.keys(before).length === 0) return;
  makeDirectories(place.dataDir, 0o700);
  try {
    writeFileSync(fileOf(place), JSON.stringify(before, undefined, 1), { mode: 0o600, flag: "wx" });
  } catch (e) {
    if (!isAlreadyExists(e)) throw e;
  }
}

/** undefined when there is none, or none that can be read. */
export function readBackup(place: Place, log: (line: string) => void): Omit<LinkChange, "index" | "name"> | undefined {
  const path = fileOf(place);
  try {
    const text = readFileSync(path, "utf8");
    const before = parseJsonObject(text, path);
    const mac = stringField(before, "mac");
    return {
      ...(mac ? { address: parseMac(mac) } : {}),
      promiscuous: booleanField(before, "promisc"),
      allMulticast: booleanField(before, "allmulti"),
      mtu: integerField(before, "mtu") || undefined,
      txQueueLength: integerField(before, "txQLen"),
    };
  } catch (e) {
    if ((e as NodeJS.ErrnoException).code !== "ENOENT") log(e instanceof Error ? e.message : String(e));
    return undefined;
  }
}

export function removeBackup(place: Place): void {
  rmSync(fileOf(place), { force: true });
}

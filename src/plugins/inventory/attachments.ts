// Who has which address, and whether he is still there. host-local's files and libcni's cache say who; whether a container
// lives is asked of the kernel and not of a runtime: its address is in some network namespace of this node, or its own
// namespace is there, or it is gone.
import { readdirSync, statfsSync } from "node:fs";
import { type ConfList, field, isObject, type JsonObject, stringField } from "../../formats/cni/index.ts";
import type { IpAddress } from "../../formats/netip/index.ts";
import { isNotFound, NetNs, networkNamespaces, Rtnl } from "../../kernel/index.ts";
import { Reservations } from "../host-local/reservations.ts";
import { readCache } from "./libcni-cache.ts";

/** One interface of one container in one network. */
export interface NodeAttachment {
  readonly network: string;
  readonly containerId: string;
  /** "" in files of plugins older than 0.7. */
  readonly ifName: string;
  readonly addresses: readonly IpAddress[];
  /** The container's namespace; undefined: it is gone, and what it had is leaked. */
  readonly netns?: string;
}

const CACHE_FOLDER = "/var/lib/cni/results";
const NSFS_MAGIC = 0x6e73_6673; // include/uapi/linux/magic.h

const DEFAULT_DATA_DIR = "/var/lib/cni/networks";

interface Claim extends Omit<NodeAttachment, "netns" | "addresses"> {
  readonly addresses: IpAddress[];
  /** As a runtime gave it. */
  readonly path: string;
}

/** Every attachment that host-local or a runtime remembers. */
export async function listAttachments(
  lists: readonly ConfList[],
  cacheFolder: string = CACHE_FOLDER,
): Promise<NodeAttachment[]> {
  const claims = new Map<string, Claim>();
  const claim = (network: string, containerId: string, ifName: string, path: string): Claim => {
    const key = [network, containerId, ifName].join(" ");
    const known = claims.get(key) ?? { network, containerId, ifName, addresses: [], path };
    claims.set(key, known);
    return known;
  };
  for (const { network, containerId, ifName, netns, addresses } of readCache(cacheFolder))
    claim(network, containerId, ifName, netns).addresses.push(...addresses);
  for (const [network, dataDir] of places(lists)) {
    using reservations = await Reservations.open(dataDir, network);
    for (const { ip, containerId, ifName } of reservations.all()) {
      if (containerId === "") continue; // an empty file: nobody holds that address
      const { addresses } = claim(network, containerId, ifName, "");
      if (!addresses.includes(ip)) addresses.push(ip);
    }
  }
  const inUse = addressesInUse();
  const attachments = [...claims].map(([key, { path, ...attachment }]): [string, NodeAttachment] => {
    const byAddress = attachment.addresses.map((ip) => inUse.get(ip)).find((where) => where !== undefined);
    const netns = byAddress ?? (isNamespace(path) ? path : undefined);
    return [key, { ...attachment, ...(netns !== undefined && { netns }) }];
  });
  return attachments.sort(([a], [b]) => (a < b ? -1 : 1)).map(([, attachment]) => attachment);
}

/** Of a container that ended, the name of its namespace may be left as an ordinary file. */
function isNamespace(path: string): boolean {
  try {
    return path !== "" && statfsSync(path).type === NSFS_MAGIC;
  } catch {
    return false;
  }
}

/** Where each network's addresses are kept: as its configuration says, and what there is in the usual place. */
function places(lists: readonly ConfList[]): Map<string, string> {
  const folders = new Map<string, string>();
  for (const name of foldersIn(DEFAULT_DATA_DIR)) folders.set(name, DEFAULT_DATA_DIR);
  for (const { name, plugins } of lists)
    for (const plugin of plugins) {
      const dataDir = dataDirOf(plugin);
      if (dataDir !== undefined && foldersIn(dataDir).includes(name)) folders.set(name, dataDir);
    }
  return folders;
}

function dataDirOf(plugin: JsonObject): string | undefined {
  const ipam = field(plugin, "ipam");
  return isObject(ipam) ? stringField(ipam, "dataDir") : undefined;
}

function foldersIn(path: string): string[] {
  try {
    return readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name);
  } catch (e) {
    if (isNotFound(e)) return [];
    throw e;
  }
}

/** Each address that some namespace of the node has, with that namespace. The gateway's is the node's own. */
function addressesInUse(): Map<IpAddress, string> {
  const inUse = new Map<IpAddress, string>();
  for (const { path } of networkNamespaces())
    try {
      using netns = NetNs.open(path);
      using rtnl = Rtnl.open(netns);
      for (const { prefix } of rtnl.addresses()) if (!inUse.has(prefix.address)) inUse.set(prefix.address, path);
    } catch {
      // It ended while we looked, or is a name of something else: nobody in there.
    }
  return inUse;
}

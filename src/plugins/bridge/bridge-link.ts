// The bridge itself: made when missing, shared by all pods of the node.
import { randomBytes } from "node:crypto";
import { CNI_ERROR, CniError, type ResultIp } from "../../formats/cni/index.ts";
import {
  formatPrefix,
  localMac,
  type MacAddress,
  type Prefix,
  prefixesEqual,
  prefixesOverlap,
  prefixFamily,
} from "../../formats/netip/index.ts";
import {
  deleteAddress,
  deleteLink,
  IFF_PROMISC,
  type Link,
  newAddress,
  newLink,
  type Request,
  setLink,
} from "../../formats/netlink/index.ts";
import { isAlreadyExists, isNotFound, type Rtnl, writeSysctl } from "../../kernel/index.ts";
import type { Host } from "../host.ts";
import type { Call } from "../plugin.ts";
import type { UndoStack } from "../undo.ts";
import type { BridgeConf } from "./conf.ts";
import { addressSpec } from "./requests.ts";

const NO_MAC = "00:00:00:00:00:00" as MacAddress;

/** The bridge, up. @throws {CniError} when the name is taken by another kind of device */
export function ensureBridge({ host: { rtnl }, undo }: Pick<Call, "host" | "undo">, conf: BridgeConf): Link {
  const name = conf.bridge;
  let link = rtnl.link(name);
  if (!link) {
    try {
      // With a MAC of its own choice a bridge keeps it; otherwise it takes the lowest of its ports', and changes with them.
      rtnl.execute(
        newLink({
          name,
          kind: { kind: "bridge" },
          isUp: true,
          address: localMac(randomBytes(6)),
          ...(conf.mtu > 0 ? { mtu: conf.mtu } : {}),
        }),
      );
      undo.push(`creation of bridge ${name}`, () => removeUnusedBridge(rtnl, name));
      tolerate(() => writeSysctl(`net/ipv6/conf/${name}/accept_ra`, 0));
    } catch (e) {
      if (!isAlreadyExists(e)) throw e; // another plugin was faster
    }
    link = rtnl.link(name);
  }
  if (link?.kind?.kind !== "bridge")
    throw new CniError(
      CNI_ERROR.internal,
      `${JSON.stringify(name)} already exists but is not a bridge: remove it, or name another in the configuration's "bridge"`,
    );
  const changes: Request[] = [
    ...(link.isUp ? [] : [setLink({ index: link.index, isUp: true })]),
    ...(conf.promiscMode && (link.flags & IFF_PROMISC) === 0
      ? [setLink({ index: link.index, promiscuous: true })]
      : []),
  ];
  if (changes.length > 0) rtnl.execute(changes);
  return link;
}

function removeUnusedBridge(rtnl: Rtnl, name: string): void {
  const link = rtnl.link(name);
  if (link && !rtnl.links().some(({ master }) => master === link.index))
    rtnl.execute(deleteLink({ index: link.index }), { tolerate: isNotFound });
}

/** The bridge that one ADD works on. */
export interface BridgeContext {
  readonly host: Host;
  readonly link: Link;
  readonly conf: BridgeConf;
  /** The host's end of the pod's pair. */
  readonly port: string;
  readonly undo: UndoStack;
}

/** Gives the bridge the gateway address of each ip, and has the host forward. */
export function ensureGateways(context: BridgeContext, ips: readonly ResultIp[]): void {
  const { host } = context;
  for (const { address, gateway } of ips)
    if (gateway) ensureGateway(context, { address: gateway, length: address.length });
  for (const { address } of ips) host.ensureForwarding(prefixFamily(address));
}

function ensureGateway({ host: { rtnl }, link, conf, port, undo }: BridgeContext, gateway: Prefix): void {
  const present = rtnl.addresses(link.index).map(({ prefix }) => prefix);
  if (present.some((prefix) => prefixesEqual(prefix, gateway))) return;
  const foreign = present.filter(
    (prefix) =>
      prefixFamily(prefix) === prefixFamily(gateway) &&
      // Any other IPv4 address is in the way; of IPv6 a bridge has several by nature (fe80::).
      (prefixFamily(prefix) === 4 || prefixesOverlap(prefix, gateway)),
  );
  if (foreign.length > 0 && !conf.forceAddress)
    throw new CniError(
      CNI_ERROR.internal,
      `${JSON.stringify(conf.bridge)} already has an IP address different from ${formatPrefix(gateway)}: ` +
        `${foreign.map(formatPrefix).join(", ")}; delete it, or set "forceAddress"`,
    );
  // A pod that was added since then has the gateway too: what it relies on stays.
  const unlessShared = (request: Request, tolerate: (error: unknown) => boolean): void => {
    if (!rtnl.links().some(({ master, name }) => master === link.index && name !== port))
      rtnl.execute(request, { tolerate });
  };
  for (const prefix of foreign) {
    rtnl.execute(deleteAddress({ index: link.index, prefix }), { tolerate: isNotFound });
    undo.push(`deletion of ${formatPrefix(prefix)} from ${conf.bridge}`, () =>
      unlessShared(newAddress(addressSpec(link.index, prefix)), isAlreadyExists),
    );
  }
  rtnl.execute(newAddress(addressSpec(link.index, gateway)), { tolerate: isAlreadyExists });
  undo.push(`address ${formatPrefix(gateway)} of ${conf.bridge}`, () =>
    unlessShared(deleteAddress({ index: link.index, prefix: gateway }), isNotFound),
  );
}

// Bridges known to have a MAC of their own, by MAC: the kernel does not tell.
const pinned = new Set<string>();

/**
 * The bridge with a MAC of its own: setting one, even the one it has, makes it so. Without, a bridge has the lowest of
 * its ports' and changes it with them; the pods' neighbour entries for their gateway would go stale.
 */
export function pinMac(rtnl: Rtnl, link: Link): Link {
  if (link.address && pinned.has(link.address)) return link;
  const address = link.address && link.address !== NO_MAC ? link.address : localMac(randomBytes(6));
  rtnl.execute(setLink({ index: link.index, address }));
  pinned.add(address);
  return { ...link, address };
}

/** For settings a kernel without IPv6 does not have. */
function tolerate(write: () => void): void {
  try {
    write();
  } catch (e) {
    if (!isNotFound(e)) throw e;
  }
}

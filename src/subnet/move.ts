import { formatLeaseAttrs, formatSubnetKey, type LeaseAttrs, parseLeaseAttrs } from "../formats/flannel/index.ts";
import type { KeyValue, Store } from "../store/index.ts";
import { deleteUnchanged, putLease } from "./acquire.ts";
import { SubnetError } from "./errors.ts";
import { isSameNode, type Lease, nameOfNode } from "./lease.ts";

const TRIES = 20;

/**
 * Publishes other attributes for a subnet that is ours: the node is reached at another address now. The key is deleted
 * and made again, because a Flannel peer that sees it overwritten keeps the old address beside the new one.
 * @throws {SubnetError} when another node has taken the subnet @throws {EtcdError}
 */
export async function moveLease(store: Store, directory: string, lease: Lease, attrs: LeaseAttrs): Promise<Lease> {
  const key = directory + formatSubnetKey(lease);
  const moved = { ...lease, attrs };
  const value = formatLeaseAttrs(attrs);
  for (let tries = 0; tries < TRIES; tries++) {
    const seen = await store.get(key);
    // An earlier attempt whose answer was lost.
    if (seen?.valueText === value) return moved;
    if (seen && !isOneOf(seen, [lease.attrs, attrs]))
      throw new SubnetError(
        "contended",
        `Cannot publish ${nameOfNode(attrs)} under ${key}: another node has taken this node's subnet, ${seen.valueText}; ` +
          `stop one of the two, or restart this one`,
      );
    if (seen && !(await deleteUnchanged({ store }, seen))) continue;
    const isGone = { key, target: "version", value: 0n } as const;
    const put = await putLease({ store }, moved, key, isGone, seen?.lease === 0n);
    if (put) return put;
  }
  throw new SubnetError(
    "contended",
    `Cannot publish ${nameOfNode(attrs)} under ${key}: it changed ${TRIES} times; try again`,
  );
}

/** A value that nobody can read is nobody's. */
function isOneOf({ valueText }: KeyValue, nodes: readonly LeaseAttrs[]): boolean {
  try {
    const attrs = parseLeaseAttrs(valueText);
    return nodes.some((node) => isSameNode(attrs, node));
  } catch {
    return true;
  }
}

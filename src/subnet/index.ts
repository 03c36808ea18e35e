/**
 * Leases: acquire a subnet for this node, keep it, and watch who has the others (Flannel's subnet manager).
 *
 * Knows the store's keys under `<prefix>` and nothing of the kernel: losing a lease or the store never undoes a route.
 * Shares its keys with Flannel nodes, so it never writes anything there that is not a lease.
 */
export * from "./errors.ts";
export type { Lease } from "./lease.ts";
export * from "./subnet-manager.ts";

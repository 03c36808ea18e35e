/**
 * How packets travel between nodes: one folder a backend, each behind the interface `Backend` (Flannel's backends).
 *
 * A backend owns its devices and says which addresses, neighbours, FDB entries and routes they need; host puts those in
 * the kernel. Knows leases, and nothing of the store or the agent.
 */
export * from "./backend.ts";
export * from "./errors.ts";
export * from "./open.ts";

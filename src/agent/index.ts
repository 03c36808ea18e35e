/**
 * The daemon of one node: takes a lease, keeps the backend's device and the peers in the kernel, the masquerade rules,
 * the Service gateway and the CNI server, from one level-triggered loop.
 *
 * Wires what the other folders do; knows no command line and no lab. Its files and keys are Flannel's.
 */
export * from "./agent.ts";
export { cleanUp } from "./cleanup/cleanup.ts";
export * from "./cni-server.ts";
export * from "./errors.ts";
export * from "./options.ts";
export type { AgentInfo } from "./status/agent-info.ts";
export { askAgent } from "./status/ask.ts";
export { lookAtNode } from "./status/look.ts";
export * from "./status/run-record.ts";
export * from "./status/status.ts";

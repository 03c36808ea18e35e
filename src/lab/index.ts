/**
 * The lab: a whole cluster (gateway, nodes, store, a client outside, pods) in namespaces of one machine, and the runner of
 * the six scenarios in it.
 *
 * Starts the other components as they run in earnest, as processes of their own, and knows of them only their command
 * lines, sockets and files. Nothing of it touches the machine's own network.
 */
export * from "./control.ts";
export * from "./errors.ts";
export * from "./launch.ts";
export * from "./manifest.ts";
export * from "./messages.ts";
export * from "./state-dir.ts";

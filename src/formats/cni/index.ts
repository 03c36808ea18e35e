/**
 * The CNI specification 1.1.0 as values: network configuration and list, result in every version since 0.1.0,
 * errors, CNI_ARGS and the CNI_* environment.
 *
 * Pure: text in, objects out. Knows no process, no file, no kernel.
 */
export * from "./args.ts";
export * from "./conf-list.ts";
export * from "./dns.ts";
export * from "./env.ts";
export * from "./errors.ts";
export * from "./json.ts";
export * from "./net-conf.ts";
export * from "./result.ts";
export * from "./version.ts";

/**
 * The CNI specification 1.1.0 as values: network configuration and list, result in every version since 0.1.0,
 * errors, CNI_ARGS and the CNI_* environment.
 *
 * Pure: text in, objects out. Knows no process, no file, no kernel.
 */
export {};

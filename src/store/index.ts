/**
 * Where leases and Services are kept: the etcd v3 API, as a client (`openEtcdStore`) for a real etcd and as a server
 * (`startEmbeddedServer`) inside a process of ours for where there is none.
 *
 * Knows keys, values, revisions, leases and watches; nothing of subnets or Services. The two meet only in gRPC, so
 * etcdctl and other etcd clients work with both. Spec: etcd's v3 API, https://etcd.io/docs/v3.5/learning/api/.
 */
export * from "./embedded/server.ts";
export * from "./errors.ts";
export * from "./etcd/open.ts";
export type { Log } from "./log.ts";
export * from "./store.ts";

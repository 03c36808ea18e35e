import { mixedClusterContract } from "./mixed-cluster.contract.ts";
import { CLUSTER_STORES } from "./testing/cluster-stores.ts";

mixedClusterContract(CLUSTER_STORES.etcd);

import { storeContract } from "../store.contract.ts";
import { startRealEtcd, whyNoEtcd } from "../testing/real-etcd.ts";

storeContract("etcd", () => startRealEtcd(), whyNoEtcd());

import { startRealEtcd, whyNoEtcd } from "../store/testing/real-etcd.ts";
import { subnetContract } from "./subnet.contract.ts";

subnetContract("etcd", () => startRealEtcd(), whyNoEtcd());

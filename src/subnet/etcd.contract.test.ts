import { startRealEtcd, whyNoEtcd } from "../store/testing/real-etcd.ts";
import { moveContract } from "./move.contract.ts";
import { racesContract } from "./races.contract.ts";
import { subnetContract } from "./subnet.contract.ts";

subnetContract("etcd", () => startRealEtcd(), whyNoEtcd());
moveContract("etcd", () => startRealEtcd(), whyNoEtcd());
racesContract("etcd", () => startRealEtcd(), whyNoEtcd());

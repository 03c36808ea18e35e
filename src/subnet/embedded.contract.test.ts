import { startEmbeddedProcess } from "../store/testing/embedded.ts";
import { subnetContract } from "./subnet.contract.ts";

subnetContract("embedded", () => startEmbeddedProcess());

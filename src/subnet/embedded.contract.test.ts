import { startEmbeddedProcess } from "../store/testing/embedded.ts";
import { moveContract } from "./move.contract.ts";
import { racesContract } from "./races.contract.ts";
import { subnetContract } from "./subnet.contract.ts";

subnetContract("embedded", () => startEmbeddedProcess());
moveContract("embedded", () => startEmbeddedProcess());
racesContract("embedded", () => startEmbeddedProcess());

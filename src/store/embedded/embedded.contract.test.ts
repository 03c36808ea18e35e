import { storeContract } from "../store.contract.ts";
import { startEmbeddedProcess } from "../testing/embedded.ts";

storeContract("embedded", () => startEmbeddedProcess());

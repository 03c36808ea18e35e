// The agent's CNI server alone, as a process that can be killed: argv[2] is its socket. Says "ready" once it serves.
import { startCniServer } from "../cni-server.ts";

const [, , socketPath = ""] = process.argv;
await using _server = await startCniServer({ socketPath });
console.log("ready");
await new Promise((resolve) => process.once("SIGTERM", resolve));

// The scenarios' runner, started inside the lab by `podpath lab scenarios`: the request on stdin, JSON lines on stdout.
import { readFileSync } from "node:fs";
import { runScenarios, type ScenariosRequest } from "../lab/index.ts";

const request = JSON.parse(readFileSync(0, "utf8")) as ScenariosRequest;
await runScenarios(request, (message) => {
  process.stdout.write(`${JSON.stringify(message)}\n`);
});

// The soak's runner inside the lab, started by `podpath lab soak`: the request on stdin, JSON lines on stdout.
import { readFileSync } from "node:fs";
import { runSoak, type SoakRequest } from "../lab/index.ts";

const request = JSON.parse(readFileSync(0, "utf8")) as SoakRequest;
await runSoak(request, (message) => {
  process.stdout.write(`${JSON.stringify(message)}\n`);
});

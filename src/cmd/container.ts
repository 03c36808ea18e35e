#!/usr/bin/env node
// What the lab's containers run: `serve PORT…`, an echo server, and `probe …` and `flow …`, its clients. Kept apart from `podpath` because
// many of them start at once: nothing is loaded that is not used.
import { serve } from "./container/echo-server.ts";
import { parseProbe, probe } from "./container/probe.ts";

const [command, ...args] = process.argv.slice(2);
try {
  if (command === "serve") await serve(args.map(Number));
  else if (command === "probe") {
    const result = await probe(parseProbe(args));
    console.log(JSON.stringify(result));
    process.exitCode = result.ok ? 0 : 1;
  } else if (command === "flow") {
    const { runFlows } = await import("./container/flow.ts");
    runFlows(Number(args[0]), args.slice(1));
  } else throw new Error(`Cannot run ${JSON.stringify(command)}: want serve, probe or flow`);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 2;
}

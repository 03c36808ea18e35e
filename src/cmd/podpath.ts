#!/usr/bin/env node
// The executable `podpath`, and `flanneld`, which is its agent. Only the sub-command that is called gets loaded.
import { readFileSync } from "node:fs";
import { basename } from "node:path";

async function main(argv: readonly string[]): Promise<void> {
  const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
    version: string;
  };
  const called = basename(argv[1] ?? "");
  const agentArgs = called === "flanneld" ? argv.slice(2) : argv[2] === "agent" ? argv.slice(3) : undefined;
  if (agentArgs) {
    const { agentCommand } = await import("./agent.ts");
    return agentCommand(called === "flanneld" ? called : "podpath agent", agentArgs, version);
  }
  if (argv[2] === "cleanup") return (await import("./cleanup.ts")).cleanupCommand(argv.slice(3));
  if (argv[2] === "status") return (await import("./status.ts")).statusCommand(argv.slice(3));
  await (await import("./program.ts")).runProgram(argv, version);
}

// The reader has gone, as in `podpath lab scenarios | head`: end as SIGPIPE ends other programs, without a word.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit(141);
});

try {
  await main(process.argv);
} catch (error) {
  // Commander has said what it had to say.
  if (error instanceof Error && error.name === "CommanderError" && "exitCode" in error)
    process.exitCode = Number(error.exitCode);
  else {
    const message = error instanceof Error ? error.message : String(error);
    console.error(`podpath: ${message.replaceAll(/\s*\n\s*/g, " ")}`);
    if (process.env.PODPATH_DEBUG) console.error(error);
    process.exitCode = 1;
  }
}

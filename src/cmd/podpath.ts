#!/usr/bin/env node
// The executable `podpath`, and `flanneld`, which is its agent. Only the sub-command that is called gets loaded.
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { Command, CommanderError } from "commander";

const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  lab: async () => (await import("./lab.ts")).labCommand(),
  // Listed here; its command line is Flannel's, in Go's syntax, and not commander's to read.
  agent: async () => new Command("agent").description("run the daemon of one node, in the place of flanneld"),
  // The same: they take the agent's flags.
  cleanup: async () => new Command("cleanup").description("remove from this node what podpath or Flannel made"),
  status: async () => new Command("status").description("show this node's kernel against the leases, peer by peer"),
  "install-cni": async () => (await import("./cni.ts")).installCniCommand(),
  cni: async () => (await import("./cni-network.ts")).cniCommand(),
  store: async () => (await import("./store.ts")).storeCommand(),
};

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
  const program = new Command("podpath")
    .description("A Flannel-compatible pod network for Linux that shows every hop of every packet")
    .version(version)
    .exitOverride()
    .enablePositionalOptions();
  const named = COMMANDS[argv[2] ?? ""];
  for (const load of named ? [named] : Object.values(COMMANDS)) program.addCommand(await load());
  await program.parseAsync([...argv]);
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
  if (error instanceof CommanderError) process.exitCode = error.exitCode;
  else {
    const message = error instanceof Error ? error.message : String(error);
    console.error(`podpath: ${message.replaceAll(/\s*\n\s*/g, " ")}`);
    if (process.env.PODPATH_DEBUG) console.error(error);
    process.exitCode = 1;
  }
}

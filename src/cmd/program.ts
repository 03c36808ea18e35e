import { Command } from "commander";

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

/** The sub-commands whose command lines are commander's to read. @throws {CommanderError} */
export async function runProgram(argv: readonly string[], version: string): Promise<void> {
  const program = new Command("podpath")
    .description("A Flannel-compatible pod network for Linux that shows every hop of every packet")
    .version(version)
    .exitOverride()
    .enablePositionalOptions();
  const named = COMMANDS[argv[2] ?? ""];
  for (const load of named ? [named] : Object.values(COMMANDS)) program.addCommand(await load());
  await program.parseAsync([...argv]);
}

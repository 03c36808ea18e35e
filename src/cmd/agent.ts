import { Command } from "commander";

/** `podpath agent`. */
export function agentCommand(): Command {
  return new Command("agent").description("run the daemon of one node");
}

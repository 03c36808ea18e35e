import { Command } from "commander";
import { addControlCommands } from "./lab-control.ts";
import { addExecCommands } from "./lab-exec.ts";
import { addUpCommands } from "./lab-up.ts";

/** `podpath lab …`. */
export function labCommand(): Command {
  const lab = new Command("lab")
    .description("a whole cluster on this machine, in namespaces")
    .enablePositionalOptions();
  addUpCommands(lab);
  addControlCommands(lab);
  addExecCommands(lab);
  return lab;
}

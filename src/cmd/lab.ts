import { Command } from "commander";
import { addControlCommands } from "./lab-control.ts";
import { addExecCommands } from "./lab-exec.ts";
import { addScenariosCommand } from "./lab-scenarios.ts";
import { addSoakCommand } from "./lab-soak.ts";
import { addStartCommand } from "./lab-start.ts";
import { addUpCommands } from "./lab-up.ts";

/** `podpath lab …`. */
export function labCommand(): Command {
  const lab = new Command("lab")
    .description("a whole cluster on this machine, in namespaces")
    .enablePositionalOptions();
  addUpCommands(lab);
  addScenariosCommand(lab);
  addSoakCommand(lab);
  addStartCommand(lab);
  addControlCommands(lab);
  addExecCommands(lab);
  return lab;
}

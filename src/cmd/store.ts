import { Command } from "commander";

/** `podpath store`: the embedded store as a process of its own. */
export function storeCommand(): Command {
  return new Command("store");
}

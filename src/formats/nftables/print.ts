import type { Command, NftObject, Table, Verb } from "./objects.ts";

/** One command, as `nft -f` reads it, with its line end. */
export function printCommand(verb: Verb, object: NftObject): string {
  throw new Error(`not yet: ${verb} ${object.kind}`);
}

/** Commands as the text of one transaction: libnftables sends one text as one batch, all or nothing. */
export function printTransaction(commands: readonly Command[]): string {
  return commands.map(({ verb, object }) => printCommand(verb, object)).join("");
}

/** The commands that put a table with `contents` in the place of whatever table of that name there is. */
export function replaceTable(table: Table, contents: readonly NftObject[]): Command[] {
  return [
    { verb: "destroy", object: table },
    { verb: "add", object: table },
    ...contents.map((object): Command => ({ verb: "add", object })),
  ];
}

// `podpath cni status|gc|list`: the node's CNI networks, for people.
import { Command } from "commander";
import type { ConfList } from "../formats/cni/index.ts";
import {
  askStatus,
  collectGarbage,
  listAttachments,
  type NodeAttachment,
  type PluginSays,
  readNetworks,
} from "../plugins/index.ts";

interface Folders {
  readonly binDir: string;
  readonly confDir: string;
}

export function cniCommand(): Command {
  return new Command("cni")
    .description("look after this node's CNI networks")
    .addCommand(
      withFolders(new Command("status"))
        .description("ask each plugin of each network whether it can take pods; exit 1 when one cannot")
        .action(status),
    )
    .addCommand(
      withFolders(new Command("list"))
        .description("show who has which address, and whether he is still there")
        .option("--json", "as JSON")
        .action(list),
    )
    .addCommand(
      withFolders(new Command("gc"))
        .description(
          "free what containers that are gone have left: addresses, rules, files. A container counts as gone when no " +
            "network namespace of this node has its address: so run this where all of the node's processes are seen",
        )
        .option("--dry-run", "only say what would be freed")
        .action(gc),
    );
}

function withFolders(command: Command): Command {
  return command
    .option("--bin-dir <folder>", "the runtime's plugins", "/opt/cni/bin")
    .option("--conf-dir <folder>", "the runtime's network configurations", "/etc/cni/net.d");
}

async function status({ binDir, confDir }: Folders): Promise<void> {
  const networks = readNetworks(confDir);
  if (networks.length === 0) complain(`no network is configured in ${confDir}; podpath install-cni writes one`);
  for (const [index, { file, list, error }] of networks.entries()) {
    if (!list) {
      complain(`${file}: ${error}`);
      continue;
    }
    console.log(`${list.name} (${file}${index === 0 ? ", which runtimes give their pods" : ""})`);
    for (const answer of await askStatus(list, binDir)) tell(answer, "ready");
  }
}

async function list({ confDir, json }: Folders & { readonly json?: boolean }): Promise<void> {
  const attachments = await listAttachments(listsIn(confDir));
  if (json) {
    console.log(JSON.stringify(attachments, undefined, 2));
    return;
  }
  const rows = attachments.map((one) => [
    one.network,
    one.containerId,
    one.ifName,
    one.addresses.join(" "),
    one.netns ?? "gone: its addresses are leaked",
  ]);
  console.log(table([["NETWORK", "CONTAINER", "INTERFACE", "ADDRESSES", "NAMESPACE"], ...rows]));
}

async function gc({ binDir, confDir, dryRun }: Folders & { readonly dryRun?: boolean }): Promise<void> {
  const lists = listsIn(confDir);
  const attachments = await listAttachments(lists);
  const names = new Set(lists.map(({ name }) => name));
  const gone = attachments.filter((one) => one.netns === undefined);
  const stale = gone.filter((one) => names.has(one.network));
  for (const one of stale) console.log(`${dryRun ? "would free" : "frees"} ${describe(one)}`);
  for (const one of gone)
    if (!names.has(one.network)) console.log(`leaves ${describe(one)}: no file in ${confDir} configures that network`);
  if (stale.length === 0) console.log("nothing is leaked");
  if (dryRun) return;
  const live = attachments.filter((one) => one.netns !== undefined);
  for (const list of lists) for (const answer of await collectGarbage(list, binDir, live)) tell(answer, undefined);
}

function describe({ network, containerId, ifName, addresses }: NodeAttachment): string {
  return `${addresses.join(" ") || "what is left"} of ${containerId} ${ifName} in ${network}`;
}

/** The networks that can be read; the others are said, and make the exit status 1. */
function listsIn(confDir: string): ConfList[] {
  return readNetworks(confDir).flatMap(({ file, list, error }) => {
    if (list) return [list];
    complain(`${file}: ${error}`);
    return [];
  });
}

function tell({ network, plugin, error, skipped }: PluginSays, well: string | undefined): void {
  if (error !== undefined) complain(`${network}: ${plugin}: ${error}`);
  else if (skipped !== undefined) console.log(`  ${plugin}: not asked: ${skipped}`);
  else if (well !== undefined) console.log(`  ${plugin}: ${well}`);
}

function complain(message: string): void {
  console.error(`podpath: ${message}`);
  process.exitCode = 1;
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

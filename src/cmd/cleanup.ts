// `podpath cleanup`: takes a node out of the network.
import { cleanUp } from "../agent/index.ts";
import { AGENT_FLAGS, ENV_PREFIX } from "./agent-flags.ts";
import { agentsOptions } from "./agents-options.ts";
import { addEnvironment, bool, type Flag, helpOf, parseArguments } from "./go-flags.ts";

const text = (name: string, value: string, help: string): Flag<string> => ({
  name,
  value,
  help,
  parse: (given) => given,
});

const OWN_FLAGS = [
  bool("dry-run", "only say what would be removed"),
  bool("force", "also while an agent runs"),
  bool("pods", "the bridge cni0, the pods' interfaces and their addresses too"),
  bool("cni", "the CNI plugins and 10-flannel.conflist too, where podpath install-cni put them"),
  text("bin-dir", "folder", "where the plugins are (/opt/cni/bin)"),
  text("conf-dir", "folder", "where the network configurations are (/etc/cni/net.d)"),
  bool("lease", "this node's lease in the store too, so that its subnet is free at once"),
];

/** @throws {UsageError} @throws {AgentError} */
export async function cleanupCommand(args: readonly string[]): Promise<void> {
  const values = parseArguments([...OWN_FLAGS, ...AGENT_FLAGS], args);
  if (values.get("help") || values.get("h")) return void process.stdout.write(help());
  addEnvironment(values, AGENT_FLAGS, ENV_PREFIX, process.env);
  const is = (name: string): boolean => Boolean(values.get(name));
  const folder = (name: string, usual: string): string => (values.get(name) as string | undefined) || usual;
  const failures = await cleanUp({
    options: agentsOptions(values).options,
    isDryRun: is("dry-run"),
    isForced: is("force"),
    pods: is("pods"),
    ...(is("cni") && {
      cni: { binDir: folder("bin-dir", "/opt/cni/bin"), confDir: folder("conf-dir", "/etc/cni/net.d") },
    }),
    lease: is("lease"),
    say: (line) => process.stdout.write(`${line}\n`),
  });
  if (failures > 0) process.exitCode = 1;
}

function help(): string {
  return `Usage: podpath cleanup [--dry-run] [--force] [--pods] [--cni] [--lease] [flags of podpath agent]

Removes from this node what podpath, or a Flannel before it, has made, and nothing else: devices, routes, nftables tables
and subnet.env. Whatever is somebody else's stays, and is named where it looks alike. May be repeated.
Exit status: 0, or 1 when something could not be removed, or an agent runs.

${helpOf(OWN_FLAGS)}`;
}

import { Command } from "commander";
import { findCni, installCni } from "../plugins/index.ts";

interface InstallArguments {
  readonly binDir: string;
  readonly confDir: string;
  readonly conf: boolean;
  readonly cniSocket: string;
  readonly uninstall?: boolean;
}

/** `podpath install-cni`. */
export function installCniCommand(): Command {
  return new Command("install-cni")
    .description("write the CNI plugins and the network configuration where container runtimes look for them")
    .option("--bin-dir <folder>", "the runtime's plugins", "/opt/cni/bin")
    .option("--conf-dir <folder>", "the runtime's network configurations", "/etc/cni/net.d")
    .option("--no-conf", "leave the network configurations alone")
    .option("--cni-socket <path>", "the agent's socket, as in `podpath agent --cni-socket`", "/run/podpath/cni.sock")
    .option("--uninstall", "take away what this command wrote, and nothing that is somebody else's")
    .action((args: InstallArguments) => (args.uninstall ? uninstall(args) : install(args)));
}

function install({ binDir, confDir, conf, cniSocket: socketPath }: InstallArguments): void {
  installCni({ binDir, socketPath, ...(conf ? { confDir } : {}) });
  console.log(`CNI plugins in ${binDir}${conf ? `, network configuration in ${confDir}` : ""}`);
}

function uninstall({ binDir, confDir, conf }: InstallArguments): void {
  const { ours, left } = findCni({ binDir, confDir });
  for (const one of ours) {
    if (!conf && one.what.includes(confDir)) continue;
    one.remove();
    console.log(`removed ${one.what}`);
  }
  for (const what of left) console.log(`left ${what}`);
  if (ours.length === 0) console.log(`nothing of podpath's in ${binDir} and ${confDir}`);
}

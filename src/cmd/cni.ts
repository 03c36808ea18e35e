import { Command } from "commander";
import { installCni } from "../plugins/index.ts";

/** `podpath install-cni`. */
export function installCniCommand(): Command {
  return new Command("install-cni")
    .description("write the CNI plugins and the network configuration where container runtimes look for them")
    .option("--bin-dir <folder>", "the runtime's plugins", "/opt/cni/bin")
    .option("--conf-dir <folder>", "the runtime's network configurations", "/etc/cni/net.d")
    .option("--no-conf", "leave the network configurations alone")
    .option("--cni-socket <path>", "the agent's socket, as in `podpath agent --cni-socket`", "/run/podpath/cni.sock")
    .action((options: { binDir: string; confDir: string; conf: boolean; cniSocket: string }) => {
      const { binDir, confDir, conf, cniSocket: socketPath } = options;
      installCni({ binDir, socketPath, ...(conf ? { confDir } : {}) });
      console.log(`CNI plugins in ${binDir}${conf ? `, network configuration in ${confDir}` : ""}`);
    });
}

export interface InstallOptions {
  /** Where the runtime looks for plugins, e.g. /opt/cni/bin. */
  readonly binDir: string;
  /** Where the runtime looks for network configurations, e.g. /etc/cni/net.d; left alone when absent. */
  readonly confDir?: string;
  /** The agent's CNI socket, baked into the client. */
  readonly socketPath: string;
  /** The folder that holds the one-file fallback (podpath-cni.cjs and koffi's native file); default: the one built beside this module. */
  readonly fallback?: string;
}

/** Writes the client under each plugin's name, the Node fallback and 10-flannel.conflist; each file appears at once or not at all. */
export function installCni(options: InstallOptions): void {
  throw new Error(`Cannot install into ${options.binDir}: not written yet`);
}

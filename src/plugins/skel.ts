export interface PluginRequest {
  /** argv[0]: its last path component names the plugin. */
  readonly name: string;
  /** The CNI_* variables; others are passed on to delegates that are executed. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdin: string;
}

export interface PluginReply {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs one CNI call. Never throws: every failure is a reply holding the specification's error JSON. */
export async function runPlugin(request: PluginRequest): Promise<PluginReply> {
  throw new Error(`Cannot run ${request.name}: not written yet`);
}

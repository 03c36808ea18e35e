import { CNI_ERROR, CniError } from "./errors.ts";

export const CNI_COMMANDS = ["ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION"] as const;
export type CniCommand = (typeof CNI_COMMANDS)[number];
export type Environment = Readonly<Record<string, string | undefined>>;

/** What the CNI_* variables say. A variable the verb does not need may be "". */
export interface CniCall {
  readonly command: CniCommand;
  readonly containerId: string;
  readonly netns: string;
  readonly ifName: string;
  readonly args: string;
  readonly path: readonly string[];
  /** CNI_NETNS_OVERRIDE, the reference library's leave to work in the plugin's own namespace. */
  readonly mayUseOwnNetns: boolean;
}

const REQUIRED: { readonly [command in CniCommand]: readonly string[] } = {
  ADD: ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"],
  CHECK: ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"],
  DEL: ["CNI_CONTAINERID", "CNI_IFNAME", "CNI_PATH"],
  GC: ["CNI_PATH"],
  STATUS: ["CNI_PATH"],
  VERSION: [],
};

/** The character set of container IDs and network names; it also keeps both from being paths. */
const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;

export function isCniName(text: string): boolean {
  return NAME.test(text);
}

/** The kernel's rule for an interface name (dev_valid_name, IFNAMSIZ 16 with its NUL), plus no colon. */
export function isInterfaceName(text: string): boolean {
  return text !== "." && text !== ".." && /^[^/:\s\0]{1,15}$/.test(text) && new TextEncoder().encode(text).length <= 15;
}

function invalid(message: string): never {
  throw new CniError(CNI_ERROR.invalidEnvironment, message);
}

/** @throws {CniError} code 4: an unknown verb, what is missing (all of it at once), or an ill-formed ID or name */
export function parseCall(env: Environment): CniCall {
  const command = env.CNI_COMMAND ?? "";
  if (!isCommand(command)) return invalid(`unknown CNI_COMMAND: ${command}`);
  const missing = REQUIRED[command].filter((name) => !env[name]);
  if (missing.length > 0) return invalid(`required env variables [${missing.join(",")}] missing`);
  const call: CniCall = {
    command,
    containerId: env.CNI_CONTAINERID ?? "",
    netns: env.CNI_NETNS ?? "",
    ifName: env.CNI_IFNAME ?? "",
    args: env.CNI_ARGS ?? "",
    path: (env.CNI_PATH ?? "").split(":").filter((folder) => folder !== ""),
    mayUseOwnNetns: /^(1|true)$/i.test(env.CNI_NETNS_OVERRIDE ?? ""),
  };
  if (REQUIRED[command].includes("CNI_CONTAINERID") && !isCniName(call.containerId))
    return invalid(`invalid characters in containerID: ${JSON.stringify(call.containerId)}`);
  if (REQUIRED[command].includes("CNI_IFNAME") && !isInterfaceName(call.ifName))
    return invalid(
      `invalid interface name ${JSON.stringify(call.ifName)}: want 1 to 15 bytes, not "." or "..", without "/", ":" or space`,
    );
  return call;
}

function isCommand(text: string): text is CniCommand {
  return (CNI_COMMANDS as readonly string[]).includes(text);
}

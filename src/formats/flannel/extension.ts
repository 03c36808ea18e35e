import { FlannelError } from "./errors.ts";
import { Fields, type JsonObject, type JsonValue, show } from "./json.ts";

/** The extension backend's commands in the network config; what is empty or not there is not run. */
export interface ExtensionOptions {
  readonly preStartupCommand?: string;
  readonly postStartupCommand?: string;
  readonly subnetAddCommand?: string;
  readonly subnetRemoveCommand?: string;
}

/** Reads `NetworkConfig.backend`. @throws {FlannelError} */
export function parseExtensionOptions(backend: JsonObject): ExtensionOptions {
  const fields = new Fields(backend, "the network config, Backend");
  const command = (name: string): string | undefined => {
    const text = fields.string(name)?.trim();
    if (text?.includes("\0")) fields.fail(name, "holds a NUL, which no command can");
    return text || undefined;
  };
  const [preStartupCommand, postStartupCommand] = [command("PreStartupCommand"), command("PostStartupCommand")];
  const [subnetAddCommand, subnetRemoveCommand] = [command("SubnetAddCommand"), command("SubnetRemoveCommand")];
  return {
    ...(preStartupCommand && { preStartupCommand }),
    ...(postStartupCommand && { postStartupCommand }),
    ...(subnetAddCommand && { subnetAddCommand }),
    ...(subnetRemoveCommand && { subnetRemoveCommand }),
  };
}

/** `BackendData` of an extension lease: what the node's PreStartupCommand printed; empty when there is none. @throws {FlannelError} */
export function parseExtensionBackendData(data: JsonValue | undefined): string {
  if (data === undefined || data === null) return "";
  if (typeof data === "string") return data;
  throw new FlannelError(
    "the lease's BackendData",
    "",
    `an extension lease has a string in quotes, not ${show(JSON.stringify(data))}`,
  );
}

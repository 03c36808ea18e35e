import { Fields, type JsonObject } from "./json.ts";

/** The ipip backend's own options in the network config. */
export interface IpipOptions {
  readonly directRouting: boolean;
}

/** Reads `NetworkConfig.backend`. @throws {FlannelError} */
export function parseIpipOptions(backend: JsonObject): IpipOptions {
  const fields = new Fields(backend, "the network config, Backend");
  return { directRouting: fields.boolean("DirectRouting") ?? false };
}

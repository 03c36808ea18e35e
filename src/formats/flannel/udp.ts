import { Fields, type JsonObject } from "./json.ts";

/** The udp backend's own options in the network config. */
export interface UdpOptions {
  /** The same on all nodes: each sends to its own number. */
  readonly port: number;
}

/** Reads `NetworkConfig.backend`. @throws {FlannelError} */
export function parseUdpOptions(backend: JsonObject): UdpOptions {
  return { port: new Fields(backend, "the network config, Backend").integer("Port", 1, 65_535) ?? 8285 };
}

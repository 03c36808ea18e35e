import { FlannelError } from "./errors.ts";
import { Fields, isObject, type JsonObject, type JsonValue, show } from "./json.ts";

/** By which addresses nodes reach each other: a tunnel a family, or one for both by the address that is better or named. */
export type WireguardMode = "separate" | "auto" | "ipv4" | "ipv6";
const MODES: readonly WireguardMode[] = ["separate", "auto", "ipv4", "ipv6"];

const MAX_U16 = 65_535;

/** The wireguard backend's own options in the network config. */
export interface WireguardOptions {
  readonly listenPort: number;
  /** Of the second device, which only "separate" has. */
  readonly listenPortV6: number;
  /** As it was written; empty is none. A secret. */
  readonly psk?: string;
  /** Of the underlay; undefined: the external interface's. */
  readonly mtuBytes?: number;
  /** 0: none are sent. */
  readonly persistentKeepaliveSeconds: number;
  readonly mode: WireguardMode;
}

/** Reads `NetworkConfig.backend`. @throws {FlannelError} */
export function parseWireguardOptions(backend: JsonObject): WireguardOptions {
  const fields = new Fields(backend, "the network config, Backend");
  if (typeof (fields.raw("PSK") ?? "") !== "string")
    fields.fail("PSK", "must be a key in quotes, as wg genpsk makes one");
  const psk = fields.string("PSK");
  const mtuBytes = fields.integer("MTU", 0, MAX_U16);
  const mode = fields.string("Mode") || "separate";
  if (!isMode(mode)) return fields.fail("Mode", `must be one of ${MODES.join(", ")}, not ${show(mode)}`);
  return {
    listenPort: fields.integer("ListenPort", 1, MAX_U16) ?? 51_820,
    listenPortV6: fields.integer("ListenPortV6", 1, MAX_U16) ?? 51_821,
    ...(psk && { psk }),
    ...(mtuBytes && { mtuBytes }),
    persistentKeepaliveSeconds: fields.integer("PersistentKeepaliveInterval", 0, MAX_U16) ?? 0,
    mode,
  };
}

function isMode(text: string): text is WireguardMode {
  return (MODES as readonly string[]).includes(text);
}

/** `BackendData` of a wireguard lease. */
export interface WireguardBackendData {
  /** In base64; not checked. */
  readonly publicKey: string;
  /** Absent in leases of old Flannels, whose nodes all had one port. */
  readonly port?: number;
}

/** `{"PublicKey":"…","Port":51820}` as LeaseAttrs.backendData. */
export function formatWireguardBackendData({ publicKey, port }: Required<WireguardBackendData>): JsonObject {
  return { PublicKey: publicKey, Port: port };
}

/** @throws {FlannelError} */
export function parseWireguardBackendData(data: JsonValue | undefined): WireguardBackendData {
  const what = "the lease's BackendData";
  if (!isObject(data))
    throw new FlannelError(
      what,
      "",
      `a wireguard lease needs {"PublicKey":…,"Port":…}, not ${show(JSON.stringify(data) ?? "")}`,
    );
  const fields = new Fields(data, what);
  const publicKey = fields.string("PublicKey");
  if (!publicKey) return fields.fail("PublicKey", "is missing: it must be the node's public key");
  const port = fields.integer("Port", 0, MAX_U16);
  return { publicKey, ...(port && { port }) };
}

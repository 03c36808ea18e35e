import type { MacAddress } from "../netip/index.ts";
import type { JsonObject, JsonValue } from "./json.ts";

/** `BackendData` of a vxlan lease. */
export interface VxlanBackendData {
  readonly vni: number;
  readonly vtepMac: MacAddress;
}

/** `{"VNI":1,"VtepMAC":"22:fb:a7:a4:32:0e"}` as LeaseAttrs.backendData. */
export function formatVxlanBackendData(data: VxlanBackendData): JsonObject {
  throw new Error(`not yet: ${data.vni}`);
}

/** @throws {FlannelError} */
export function parseVxlanBackendData(data: JsonValue | undefined): VxlanBackendData {
  throw new Error(`not yet: ${data}`);
}

/** The vxlan backend's own options in the network config. */
export interface VxlanOptions {
  readonly vni: number;
  /** 0: the kernel's default, 8472. */
  readonly port: number;
  /** Of the underlay; undefined: the external interface's. */
  readonly mtuBytes?: number;
  readonly gbp: boolean;
  readonly learning: boolean;
  readonly directRouting: boolean;
}

/** Reads `NetworkConfig.backend`. @throws {FlannelError} */
export function parseVxlanOptions(backend: JsonObject): VxlanOptions {
  throw new Error(`not yet: ${backend}`);
}

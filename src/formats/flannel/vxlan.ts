import { type MacAddress, parseMac } from "../netip/index.ts";
import { FlannelError } from "./errors.ts";
import { Fields, isObject, type JsonObject, type JsonValue, show } from "./json.ts";

const MAX_VNI = 0xff_ff_ff;

/** `BackendData` of a vxlan lease. */
export interface VxlanBackendData {
  readonly vni: number;
  readonly vtepMac: MacAddress;
}

/** `{"VNI":1,"VtepMAC":"22:fb:a7:a4:32:0e"}` as LeaseAttrs.backendData; VtepMAC last, Flannel counts on it. */
export function formatVxlanBackendData(data: VxlanBackendData): JsonObject {
  return { VNI: data.vni, VtepMAC: data.vtepMac };
}

/** @throws {FlannelError} */
export function parseVxlanBackendData(data: JsonValue | undefined): VxlanBackendData {
  const what = "the lease's BackendData";
  if (!isObject(data))
    throw new FlannelError(
      what,
      "",
      `a vxlan lease needs {"VNI":…,"VtepMAC":…}, not ${show(JSON.stringify(data) ?? "")}`,
    );
  const fields = new Fields(data, what);
  const vtepMac = fields.parsed("VtepMAC", parseMac);
  if (vtepMac === undefined)
    return fields.fail("VtepMAC", "is missing: it must be the MAC of the node's flannel device");
  if (Number.parseInt(vtepMac.slice(0, 2), 16) & 1) fields.fail("VtepMAC", `${vtepMac} is a multicast address`);
  return { vni: fields.integer("VNI", 0, MAX_VNI) ?? 0, vtepMac };
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
  const fields = new Fields(backend, "the network config, Backend");
  const mtuBytes = fields.integer("MTU", 0, 65_535);
  return {
    vni: fields.integer("VNI", 0, MAX_VNI) ?? 1,
    port: fields.integer("Port", 0, 65_535) ?? 0,
    ...(mtuBytes && { mtuBytes }),
    gbp: fields.boolean("GBP") ?? false,
    learning: fields.boolean("Learning") ?? false,
    directRouting: fields.boolean("DirectRouting") ?? false,
  };
}

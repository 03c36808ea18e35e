import { booleanField, CNI_ERROR, CniError, integerField, type NetConf } from "../../formats/cni/index.ts";
import { masqueradeBackend } from "../rules/masquerade.ts";

export interface PtpConf {
  /** 0: the kernel's default. */
  readonly mtu: number;
  readonly enabledad: boolean;
}

/** @throws {CniError} code 7 */
export function readPtpConf(conf: NetConf): PtpConf {
  const { raw } = conf;
  if (!conf.ipam) throw new CniError(CNI_ERROR.invalidNetworkConfig, `ptp: missing "ipam": a route needs an address`);
  const mtu = integerField(raw, "mtu") ?? 0;
  if (mtu < 0 || mtu > 65535)
    throw new CniError(CNI_ERROR.invalidNetworkConfig, `invalid mtu ${mtu}: want 68 to 65535, or 0 for the default`);
  booleanField(raw, "ipMasq"); // of the right type; rules/masquerade.ts acts on it
  masqueradeBackend(conf);
  return { mtu, enabledad: booleanField(raw, "enabledad") ?? false };
}

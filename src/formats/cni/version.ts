import { CNI_ERROR, CniError } from "./errors.ts";

/** Every released version of the specification, oldest first. */
export const CNI_VERSIONS = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] as const;
export type CniVersion = (typeof CNI_VERSIONS)[number];
export const CURRENT_CNI_VERSION: CniVersion = "1.1.0";

/** Exact membership, as the specification wants: "1.0" or "1.0.1" are no versions. */
export function isCniVersion(text: string): text is CniVersion {
  return (CNI_VERSIONS as readonly string[]).includes(text);
}

export function isAtLeast(version: CniVersion, than: CniVersion): boolean {
  return CNI_VERSIONS.indexOf(version) >= CNI_VERSIONS.indexOf(than);
}

/** @throws {CniError} code 1, with both sides in the details, unless `version` is in `supported` */
export function requireVersion(version: string, supported: readonly CniVersion[]): asserts version is CniVersion {
  if ((supported as readonly string[]).includes(version)) return;
  throw new CniError(CNI_ERROR.incompatibleVersion, "incompatible CNI versions", {
    details: `config is ${JSON.stringify(version)}, plugin supports [${supported.map((v) => `"${v}"`).join(" ")}]`,
  });
}

/** The reply to VERSION. */
export function formatVersions(supported: readonly CniVersion[], cniVersion: string = CURRENT_CNI_VERSION): string {
  return JSON.stringify({ cniVersion, supportedVersions: supported });
}

import { readFileSync } from "node:fs";
import { CNI_ERROR, CniError } from "../../formats/cni/index.ts";
import { parseSubnetEnv, type SubnetEnv } from "../../formats/flannel/index.ts";

export const DEFAULT_SUBNET_FILE = "/run/flannel/subnet.env";

/** What the node's agent wrote when it had a lease. @throws {CniError} saying where to look */
export function readSubnetFile(path: string): SubnetEnv {
  try {
    return parseSubnetEnv(readFileSync(path, "utf8"));
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new CniError(
      CNI_ERROR.internal,
      `failed to load flannel 'subnet.env' file: ${why}. Check the flannel pod log (podpath agent's) for this node.`,
      { details: path, cause },
    );
  }
}

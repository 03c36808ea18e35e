import { readFileSync, statSync } from "node:fs";
import { CNI_ERROR, CniError } from "../../formats/cni/index.ts";
import { parseSubnetEnv, type SubnetEnv } from "../../formats/flannel/index.ts";

export const DEFAULT_SUBNET_FILE = "/run/flannel/subnet.env";

interface Known {
  readonly version: string;
  readonly subnet: SubnetEnv;
}

// The agent runs ADD after ADD with the same file.
const known = new Map<string, Known>();

/** What the node's agent wrote when it had a lease. @throws {CniError} saying where to look */
export function readSubnetFile(path: string): SubnetEnv {
  try {
    const { ino, mtimeMs, ctimeMs, size } = statSync(path);
    const version = [ino, mtimeMs, ctimeMs, size].join();
    const before = known.get(path);
    if (before?.version === version) return before.subnet;
    const subnet = parseSubnetEnv(readFileSync(path, "utf8"));
    // A file that is still being written to may change again within a tick of the kernel's clock.
    if (Date.now() - mtimeMs > 100) known.set(path, { version, subnet });
    return subnet;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new CniError(
      CNI_ERROR.internal,
      `failed to load flannel 'subnet.env' file: ${why}. Check the flannel pod log (podpath agent's) for this node.`,
      { details: path, cause },
    );
  }
}

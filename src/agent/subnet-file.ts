import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { formatSubnetEnv, parseSubnetEnv, type SubnetEnv } from "../formats/flannel/index.ts";
import type { Prefix } from "../formats/netip/index.ts";
import { makeDirectories } from "../kernel/index.ts";
import { AgentError } from "./errors.ts";

/** The subnets this node had before, as its subnet.env tells; none when there is no file or no sense in it. */
export function previousSubnets(path: string): Prefix[] {
  try {
    const { subnet, ipv6Subnet } = parseSubnetEnv(readFileSync(path, "utf8"));
    return [subnet, ipv6Subnet].filter((prefix) => prefix !== undefined);
  } catch {
    return [];
  }
}

/** Writes subnet.env so that a reader sees the old text or the new one, never a part. Returns whether it had to. */
export function writeSubnetFile(path: string, env: SubnetEnv): boolean {
  const text = formatSubnetEnv(env);
  try {
    if (readOrUndefined(path) === text) return false;
    makeDirectories(dirname(path), 0o755);
    const temporary = `${path}.${process.pid}.tmp`;
    try {
      writeFileSync(temporary, text, { mode: 0o644, flush: true });
      renameSync(temporary, path);
    } finally {
      rmSync(temporary, { force: true });
    }
    return true;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new AgentError(`Cannot write the subnet file ${path}: ${why}; name another place with --subnet-file`, {
      cause: error,
    });
  }
}

function readOrUndefined(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

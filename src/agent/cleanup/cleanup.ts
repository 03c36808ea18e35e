import { readFileSync } from "node:fs";
import { parseSubnetEnv, type SubnetEnv } from "../../formats/flannel/index.ts";
import { formatPrefix, type Prefix } from "../../formats/netip/index.ts";
import { Rtnl, readSysctl } from "../../kernel/index.ts";
import { findCni } from "../../plugins/index.ts";
import { AgentError, messageOf } from "../errors.ts";
import type { AgentOptions } from "../options.ts";
import { FORWARDING } from "../preflight.ts";
import { runningDaemons } from "./agents.ts";
import { findFiles, findPodState } from "./files.ts";
import { clusterLeases, findLease, type StoredCluster } from "./lease.ts";
import { findBridge, findDevices, findRoutes, findRules, openNft } from "./network.ts";
import { type Found, join } from "./remains.ts";

export interface CleanupOptions {
  /** The agent's: where its files are, and its store. */
  readonly options: AgentOptions;
  readonly isDryRun: boolean;
  /** Also while an agent runs. */
  readonly isForced: boolean;
  /** The pods' bridge, their interfaces and their addresses too. */
  readonly pods: boolean;
  /** The CNI plugins and the network configuration too. */
  readonly cni?: { readonly binDir: string; readonly confDir: string };
  /** This node's lease in the store too. */
  readonly lease: boolean;
  /** Told each thing: what is done, or would be. */
  readonly say: (line: string) => void;
}

/**
 * Removes what podpath, or a Flannel before it, has on this machine, and nothing else; however often. Returns how many
 * things could not be removed. @throws {AgentError} while an agent runs
 */
export async function cleanUp(cleanup: CleanupOptions): Promise<number> {
  const { options, isDryRun, isForced, say } = cleanup;
  const daemons = runningDaemons();
  if (daemons.length > 0 && !isForced && !isDryRun)
    throw new AgentError(
      `Cannot clean up: the agent runs (pid ${daemons.join(", ")}) and would make all of it again; stop it first, or say --force`,
    );
  using rtnl = Rtnl.open();
  const env = readSubnetEnv(options.subnetFile);
  const cluster = await clusterLeases(options, cleanup.lease);
  const left: string[] = [...cluster.notes];
  using nft = openNft(left);
  const found = join([
    await findRules(nft),
    findRoutes(rtnl, { networks: networksOf(env), own: ownOf(env), byPublicIp: nextHops(cluster) }),
    findDevices(rtnl),
    ...(cleanup.pods ? [findBridge(rtnl, "cni0"), findPodState("cbr0")] : []),
    ...(cleanup.cni ? [cniFiles(cleanup.cni)] : []),
    ...(cleanup.lease ? [findLease(cluster, options)] : []),
    findFiles(options.subnetFile, options.cniSocket),
    { ours: [], left: [...left, ...settings()] },
  ]);
  const failures = await removeAll(found, isDryRun, say);
  for (const line of found.left) say(`left alone: ${line}`);
  await cluster.close();
  return failures;
}

async function removeAll({ ours }: Found, isDryRun: boolean, say: (line: string) => void): Promise<number> {
  let failures = 0;
  for (const { what, remove } of ours) {
    try {
      if (!isDryRun) await remove();
      say(`${isDryRun ? "would remove" : "removed"} ${what}`);
    } catch (error) {
      failures++;
      say(`cannot remove ${what}: ${messageOf(error)}`);
    }
  }
  if (ours.length === 0) say("nothing to remove");
  return failures;
}

function cniFiles({ binDir, confDir }: { readonly binDir: string; readonly confDir: string }): Found {
  return findCni({ binDir, confDir });
}

function readSubnetEnv(path: string): SubnetEnv | undefined {
  try {
    return parseSubnetEnv(readFileSync(path, "utf8"));
  } catch {
    return undefined;
  }
}

function networksOf(env: Partial<SubnetEnv> | undefined): Prefix[] {
  return [...(env?.networks ?? []), ...(env?.ipv6Networks ?? [])];
}

function ownOf(env: Partial<SubnetEnv> | undefined): Prefix[] {
  return [env?.subnet, env?.ipv6Subnet].filter((subnet) => subnet !== undefined);
}

function nextHops({ leases }: StoredCluster): Set<string> {
  return new Set(
    leases.flatMap(({ subnet, ipv6Subnet, attrs }) => [
      ...(subnet ? [`${formatPrefix(subnet)} ${attrs.publicIp}`] : []),
      ...(ipv6Subnet && attrs.publicIpv6 ? [`${formatPrefix(ipv6Subnet)} ${attrs.publicIpv6}`] : []),
    ]),
  );
}

/** Forwarding may be what somebody else on this machine lives on. */
function settings(): string[] {
  return Object.values(FORWARDING)
    .filter((name) => readSysctl(name) === "1")
    .map((name) => name.replaceAll("/", "."))
    .map((name) => `${name} = 1, which others may need too (sysctl -w ${name}=0 turns it off)`);
}

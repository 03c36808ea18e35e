// Addresses from ranges, remembered in files that the reference plugin reads and writes too.
import { readdirSync } from "node:fs";
import { CNI_ERROR, CniError, type Result, type ResultIp, validAttachments } from "../../formats/cni/index.ts";
import type { IpAddress } from "../../formats/netip/index.ts";
import { isNotFound } from "../../kernel/index.ts";
import type { Call, Plugin } from "../plugin.ts";
import { DEFAULT_DATA_DIR, type HostLocalConf, readConf } from "./conf.ts";
import { printRangeSet, type RangeSet, rangeContains } from "./range.ts";
import { type Owner, Reservations } from "./reservations.ts";
import { candidates } from "./walk.ts";

export const hostLocal: Plugin = {
  async add(call: Call): Promise<Result> {
    const conf = readConf(call);
    using reservations = await Reservations.open(conf.dataDir, call.conf.name);
    const wanted = [...conf.requested];
    const ips = conf.sets.map((set, index) => {
      const ip = allocate(call, reservations, set, index, wanted);
      call.undo.push(`the reservation of ${ip.address.address}`, () => release(call, conf, ip.address.address));
      return ip;
    });
    if (wanted.length > 0)
      throw new CniError(
        CNI_ERROR.internal,
        `failed to allocate all requested IPs: ${wanted.join(",")} (in no range of network ${call.conf.name})`,
      );
    return { interfaces: [], ips, routes: conf.routes, dns: conf.dns };
  },

  async del(call: Call): Promise<void> {
    const { dataDir } = readConf(call);
    using reservations = await Reservations.open(dataDir, call.conf.name);
    for (const ip of reservations.of(call)) reservations.release(ip);
  },

  async check(call: Call): Promise<void> {
    const { dataDir } = readConf(call);
    using reservations = await Reservations.open(dataDir, call.conf.name);
    if (reservations.of(call).length === 0)
      throw new CniError(
        CNI_ERROR.internal,
        `host-local: Failed to find address added by container ${call.containerId} for ${call.ifName} in ${dataDir}/${call.conf.name}`,
      );
  },

  async status(call: Call): Promise<void> {
    const conf = readConf(call);
    using reservations = await Reservations.open(conf.dataDir, call.conf.name);
    for (const [index, set] of conf.sets.entries())
      if (!hasFree(reservations, set)) throw new CniError(CNI_ERROR.pluginNotAvailable, exhausted(set, index));
  },

  async gc(call: Call): Promise<void> {
    const valid = validAttachments(call.conf.raw);
    if (!valid) return;
    const { dataDir } = readConf(call);
    using reservations = await Reservations.open(dataDir, call.conf.name);
    const isWanted = (owner: Owner): boolean =>
      valid.some(
        ({ containerId, ifName }) =>
          containerId === owner.containerId && (owner.ifName === "" || owner.ifName === ifName),
      );
    for (const owner of reservations.all()) if (!isWanted(owner)) reservations.release(owner.ip);
  },
};

/** One address of the set: the requested one (then taken off `wanted`), or the next that is free. */
function allocate(call: Call, reservations: Reservations, set: RangeSet, index: number, wanted: IpAddress[]): ResultIp {
  const fail = (why: string): never => {
    throw new CniError(CNI_ERROR.internal, `failed to allocate for range ${index}: ${why}`);
  };
  const held = reservations.of(call).find((ip) => set.some((range) => rangeContains(range, ip)));
  if (held !== undefined)
    return fail(`${held} has been allocated to ${call.containerId}, duplicate allocation is not allowed`);
  const at = wanted.findIndex((ip) => set.some((range) => rangeContains(range, ip)));
  const [requested] = at < 0 ? [] : wanted.splice(at, 1);
  if (requested !== undefined) {
    const range = set.find((each) => rangeContains(each, requested));
    if (!range || range.gateway === requested) return fail(`requested ip ${requested} is subnet's gateway`);
    if (!reservations.reserve(requested, call))
      return fail(`requested IP address ${requested} is not available in range set ${printRangeSet(set)}`);
    reservations.setLastReserved(index, requested);
    return { address: { address: requested, length: range.subnet.length }, gateway: range.gateway };
  }
  for (const { ip, range } of candidates(set, reservations.lastReserved(index)))
    if (reservations.reserve(ip, call)) {
      reservations.setLastReserved(index, ip);
      return { address: { address: ip, length: range.subnet.length }, gateway: range.gateway };
    }
  throw new CniError(CNI_ERROR.internal, exhausted(set, index));
}

function hasFree(reservations: Reservations, set: RangeSet): boolean {
  for (const { ip } of candidates(set, undefined)) if (!reservations.isTaken(ip)) return true;
  return false;
}

function exhausted(set: RangeSet, index: number): string {
  return `failed to allocate for range ${index}: no IP addresses available in range set: ${printRangeSet(set)}`;
}

async function release(call: Call, conf: HostLocalConf, ip: IpAddress): Promise<void> {
  using reservations = await Reservations.open(conf.dataDir, call.conf.name);
  if (reservations.of(call).includes(ip)) reservations.release(ip);
}

/** For the agent's start: opens every network once, which frees what an earlier boot has left of it. */
export async function freeAddressesOfEarlierBoots(dataDir: string = DEFAULT_DATA_DIR): Promise<void> {
  for (const network of networksIn(dataDir)) (await Reservations.open(dataDir, network))[Symbol.dispose]();
}

function networksIn(dataDir: string): string[] {
  try {
    return readdirSync(dataDir, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));
  } catch (e) {
    if (isNotFound(e)) return [];
    throw e;
  }
}

// The veth pair of a pod: its end in its namespace, the host's end where the plugin puts it.
import { randomBytes } from "node:crypto";
import { setTimeout as delay, setImmediate as immediate } from "node:timers/promises";
import { CNI_ERROR, CniError, type Result } from "../formats/cni/index.ts";
import { formatPrefix, localMac, type MacAddress, prefixFamily } from "../formats/netip/index.ts";
import { IFA_F_DADFAILED, IFA_F_TENTATIVE, type Link, type OperState, type Request } from "../formats/netlink/index.ts";
import {
  initSysctl,
  inNs,
  isAlreadyExists,
  isNotFound,
  NetlinkError,
  type Rtnl,
  writeSysctl,
} from "../kernel/index.ts";
import type { Pod } from "./netns.ts";
import type { Call } from "./plugin.ts";

export interface VethEnds {
  readonly hostName: string;
  readonly hostMac: MacAddress;
  readonly podMac: MacAddress;
  readonly hostIndex: number;
  readonly podIndex: number;
}

const NAME_ATTEMPTS = 10;

export interface VethPlan {
  readonly hostName: string;
  readonly hostMac: MacAddress;
  readonly ifName: string;
  readonly podMac: MacAddress;
  readonly netnsFd: number;
}

/**
 * One send creates both ends, the pod's in its namespace.
 * @param mac of the pod's end; chosen at random when there is none
 * @param requestsOf what makes the pair, in the first request, and sets it up
 */
export function createVeth(
  { host, undo }: Pick<Call, "host" | "undo">,
  pod: Pod,
  mac: MacAddress | undefined,
  requestsOf: (plan: VethPlan) => readonly Request[],
): VethEnds {
  for (let attempt = 1; ; attempt++) {
    const random = randomBytes(16);
    const plan: VethPlan = {
      hostName: `veth${random.toString("hex", 0, 4)}`,
      hostMac: localMac(random.subarray(4, 10)),
      podMac: mac ?? localMac(random.subarray(10)),
      ifName: pod.ifName,
      netnsFd: pod.netns.fd,
    };
    const remove = (): void => undo.push(`veth pair ${plan.hostName}`, () => removeByName(host, plan.hostName));
    let port: Link | undefined;
    try {
      port = host.rtnl.executeAndGetLink(requestsOf(plan), plan.hostName);
    } catch (e) {
      // The first request creates the pair; what fails then is its settings.
      if (e instanceof NetlinkError && e.requestIndex > 0) remove();
      else if (isAlreadyExists(e) && pod.rtnl.link(pod.ifName))
        throw new CniError(
          CNI_ERROR.internal,
          `container veth name (${JSON.stringify(pod.ifName)}) already exists: the interface was added before, DEL it first`,
        );
      else if (isAlreadyExists(e) && attempt < NAME_ATTEMPTS) continue; // the host's name is somebody else's
      throw e;
    }
    remove();
    const podIndex = port?.link; // IFLA_LINK: the other end's, in its own namespace
    if (!port || podIndex === undefined)
      throw new CniError(CNI_ERROR.internal, `${plan.hostName} vanished while ADD made it`);
    return { ...plan, hostIndex: port.index, podIndex };
  }
}

async function removeByName({ rtnl, removal }: Call["host"], name: string): Promise<void> {
  const link = rtnl.link(name);
  if (link) await removal.remove(link.index);
}

/** Settings of the pod's interface before it has addresses. */
export function preparePod(pod: Pod, { ips, enabledad }: Pick<Result, "ips"> & { readonly enabledad: boolean }): void {
  const hasIpv6 = ips.some(({ address }) => prefixFamily(address) === 6);
  const name = pod.ifName;
  inNs(pod.netns, () => {
    if (hasIpv6) for (const device of ["lo", name]) writeSysctl(`net/ipv6/conf/${device}/disable_ipv6`, 0);
    const settings: [string, number][] = [
      // The address is ours alone by IPAM, and detection would keep it from being used for a second.
      [`net/ipv6/conf/${name}/accept_dad`, enabledad ? 1 : 0],
      ...(enabledad ? [[`net/ipv6/conf/${name}/enhanced_dad`, 1] as [string, number]] : []),
      ...(hasIpv6 ? [[`net/ipv6/conf/${name}/keep_addr_on_down`, 1] as [string, number]] : []),
    ];
    for (const [setting, value] of settings) tolerateMissing(() => initSysctl(setting, value));
  });
}

function tolerateMissing(write: () => void): void {
  try {
    write();
  } catch (e) {
    if (!isNotFound(e)) throw e; // a kernel without IPv6
  }
}

// The reference's waits: 0, 50, 500, 1000, 1000 ms. The kernel needs a fraction of the first.
const OPERSTATE_DEADLINE_MS = 2550;

/**
 * A bridge port passes frames, and IPv6 begins on a device, only once the kernel has noticed the carrier.
 * @throws {CniError} after the time the reference waits
 */
export async function waitUntilUp(rtnl: Rtnl, name: string, up: readonly OperState[] = ["UP"]): Promise<Link> {
  const deadline = performance.now() + OPERSTATE_DEADLINE_MS;
  for (let attempt = 0; ; attempt++) {
    const link = rtnl.link(name);
    if (!link) throw new CniError(CNI_ERROR.internal, `${name} vanished while ADD made it`);
    if (up.includes(link.operState)) return link;
    if (performance.now() > deadline)
      throw new CniError(CNI_ERROR.internal, `bridge port in error state: ${name} is ${link.operState}`);
    // Mostly it is a matter of microseconds, and the shortest timer takes a millisecond.
    if (attempt < 10) await immediate();
    else await delay(Math.min(50, attempt - 9));
  }
}

const DAD_DEADLINE_MS = 5000;

/** An IPv6 address cannot be used while its detection runs: with accept_dad 0 a moment, with `enabledad` a second or two. */
export async function waitForAddresses({ rtnl, ifName }: Pod, index: number): Promise<void> {
  const deadline = performance.now() + DAD_DEADLINE_MS;
  for (let pauseMs = 0; ; pauseMs = Math.min(50, pauseMs + 1)) {
    const addresses = rtnl.addresses(index).filter(({ prefix, scope }) => prefixFamily(prefix) === 6 && scope === 0);
    const [duplicate] = addresses.filter(({ flags }) => (flags & IFA_F_DADFAILED) !== 0);
    if (duplicate)
      throw new CniError(
        CNI_ERROR.internal,
        `${formatPrefix(duplicate.prefix)} of ${ifName} is in use elsewhere (DADFAILED)`,
      );
    if (addresses.every(({ flags }) => (flags & IFA_F_TENTATIVE) === 0)) return;
    if (performance.now() > deadline)
      throw new CniError(
        CNI_ERROR.internal,
        `IPv6 addresses of ${ifName} are still tentative after ${DAD_DEADLINE_MS} ms`,
      );
    await delay(pauseMs);
  }
}

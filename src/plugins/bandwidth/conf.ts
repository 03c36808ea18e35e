import {
  CNI_ERROR,
  CniError,
  field,
  integerField,
  type JsonObject,
  type NetConf,
  objectField,
} from "../../formats/cni/index.ts";
import type { Tbf } from "../../formats/netlink/index.ts";

/** What a pod may receive and send; undefined is as much as it likes. */
export interface BandwidthConf {
  /** Into the pod. */
  readonly ingress: Tbf | undefined;
  /** Out of the pod. */
  readonly egress: Tbf | undefined;
}

function invalid(message: string): never {
  throw new CniError(CNI_ERROR.invalidNetworkConfig, `bandwidth: ${message}`);
}

/** How long a packet may wait for tokens: the reference's 25 ms. */
const LATENCY_S = 0.025;

/** @throws {CniError} code 2 or 7 */
export function readBandwidthConf({ raw, runtimeConfig }: NetConf): BandwidthConf {
  for (const key of ["shapedSubnets", "unshapedSubnets"]) {
    const value = field(raw, key);
    if (Array.isArray(value) && value.length > 0)
      throw new CniError(
        CNI_ERROR.unsupportedField,
        `bandwidth: unsupported field ${JSON.stringify(key)}: all of a pod's traffic is shaped; leave it out`,
      );
  }
  // What the network's author wrote counts, and not what the runtime asks for.
  const isStatic = KEYS.some((key) => (integerField(raw, key) ?? 0) !== 0);
  const given = isStatic ? raw : (objectField(runtimeConfig, "bandwidth") ?? {});
  return { ingress: bucket(given, "ingress"), egress: bucket(given, "egress") };
}

const KEYS = ["ingressRate", "ingressBurst", "egressRate", "egressBurst"] as const;

/** Rates are bits a second, bursts are bits. */
function bucket(given: JsonObject, direction: "ingress" | "egress"): Tbf | undefined {
  const [rate, burst] = [number(given, `${direction}Rate`), number(given, `${direction}Burst`)];
  if (rate === 0 && burst === 0) return undefined;
  if (rate === 0) return invalid(`if ${direction} burst is set, rate must also be set`);
  if (burst === 0) return invalid(`if ${direction} rate is set, burst must also be set`);
  if (burst / 8 >= 2 ** 32) return invalid(`${direction} burst cannot be more than 4GB`);
  const [rateBytesPerSecond, burstBytes] = [Math.floor(rate / 8), Math.floor(burst / 8)];
  if (rateBytesPerSecond === 0 || burstBytes === 0)
    return invalid(`${direction} rate and burst must be 8 bits at least`);
  return { rateBytesPerSecond, burstBytes, limitBytes: Math.floor(rateBytesPerSecond * LATENCY_S) + burstBytes };
}

function number(given: JsonObject, key: string): number {
  const value = integerField(given, key) ?? 0;
  return value < 0 ? invalid(`${key} must not be negative, but is ${value}`) : value;
}

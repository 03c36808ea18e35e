import {
  booleanField,
  CNI_ERROR,
  CniError,
  field,
  integerField,
  isInterfaceName,
  knownArgs,
  type NetConf,
  stringField,
} from "../../formats/cni/index.ts";
import { type MacAddress, ParseError, parseMac } from "../../formats/netip/index.ts";
import type { Call } from "../plugin.ts";
import { remembered } from "../remember.ts";
import { masqueradeBackend } from "../rules/masquerade.ts";

export interface BridgeConf {
  readonly bridge: string;
  readonly isGateway: boolean;
  readonly isDefaultGateway: boolean;
  readonly forceAddress: boolean;
  /** 0: the kernel's default. */
  readonly mtu: number;
  readonly hairpinMode: boolean;
  readonly promiscMode: boolean;
  readonly portIsolation: boolean;
  readonly enabledad: boolean;
  readonly disableContainerInterface: boolean;
  /** What the pod's interface shall have; the kernel's choice when absent. */
  readonly mac?: MacAddress;
}

function invalid(message: string): never {
  throw new CniError(CNI_ERROR.invalidNetworkConfig, message);
}

/** Keys of the reference that podpath does not carry out: refused, for a pod without what it was to have is worse. */
function refuseUnsupported({ raw }: NetConf): void {
  for (const key of ["vlan", "vlanTrunk"]) {
    const value = field(raw, key);
    const isOff = value === undefined || value === 0 || (Array.isArray(value) && value.length === 0);
    if (!isOff)
      throw new CniError(
        CNI_ERROR.unsupportedField,
        `bridge: unsupported field ${JSON.stringify(key)}: ${JSON.stringify(value)}; podpath's bridge does not filter VLANs: ` +
          "leave it out, or give each VLAN a network with a bridge of its own",
      );
  }
}

/** @throws {CniError} code 2 or 7, or 4 for CNI_ARGS */
export function readBridgeConf(call: Pick<Call, "conf" | "args" | "ifName">): BridgeConf {
  return { ...networkConf(call.conf), ...requestedMac(call) };
}

/** What all pods of the network share. */
const networkConf = remembered((conf: NetConf): Omit<BridgeConf, "mac"> => {
  const { raw } = conf;
  refuseUnsupported(conf);
  const flag = (key: string): boolean => booleanField(raw, key) ?? false;
  const bridge = stringField(raw, "bridge") || "cni0";
  if (!isInterfaceName(bridge)) return invalid(`invalid bridge name ${JSON.stringify(bridge)}`);
  const mtu = integerField(raw, "mtu") ?? 0;
  if (mtu < 0 || mtu > 65535) return invalid(`invalid mtu ${mtu}: want 68 to 65535, or 0 for the default`);
  if (flag("hairpinMode") && flag("promiscMode"))
    return invalid("cannot set hairpin mode and promiscuous mode at the same time");
  if (flag("disableContainerInterface") && conf.ipam)
    return invalid(
      "cannot use IPAM when the container's interface is disabled: leave out one of ipam and disableContainerInterface",
    );
  for (const key of ["ipMasq", "macspoofchk"]) flag(key); // of the right type; rules.ts acts on them
  masqueradeBackend(conf);
  return {
    bridge,
    isGateway: flag("isGateway") || flag("isDefaultGateway"),
    isDefaultGateway: flag("isDefaultGateway"),
    forceAddress: flag("forceAddress"),
    mtu,
    hairpinMode: flag("hairpinMode"),
    promiscMode: flag("promiscMode"),
    portIsolation: flag("portIsolation"),
    enabledad: flag("enabledad"),
    disableContainerInterface: flag("disableContainerInterface"),
  };
});

/** By precedence: the runtime's capability, the configuration's args, CNI_ARGS. */
function requestedMac(call: Pick<Call, "conf" | "args" | "ifName">): { mac?: MacAddress } {
  const { runtimeConfig, args } = call.conf;
  const text = stringField(runtimeConfig, "mac") || stringField(args, "mac") || knownArgs(call.args, ["MAC", "IP"]).MAC;
  if (!text) return {};
  try {
    return { mac: parseMac(text) };
  } catch (e) {
    if (e instanceof ParseError) return invalid(`invalid MAC address for ${call.ifName}: ${e.message}`);
    throw e;
  }
}

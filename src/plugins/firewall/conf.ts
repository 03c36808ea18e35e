import { CNI_ERROR, CniError, isAtLeast, type NetConf, stringField } from "../../formats/cni/index.ts";

export type IngressPolicy = "open" | "same-bridge" | "isolated";

export interface FirewallConf {
  /** A chain that the administrator fills. */
  readonly adminChain: string;
  readonly ingressPolicy: IngressPolicy;
}

function invalid(message: string): never {
  throw new CniError(CNI_ERROR.invalidNetworkConfig, `firewall: ${message}`);
}

/** @throws {CniError} code 1, 2 or 7 */
export function readFirewallConf({ raw, cniVersion }: NetConf): FirewallConf {
  if (!isAtLeast(cniVersion, "0.4.0"))
    throw new CniError(CNI_ERROR.incompatibleVersion, "incompatible CNI versions", {
      details: `config is ${JSON.stringify(cniVersion)}, firewall needs "0.4.0" or later`,
    });
  const backend = stringField(raw, "backend") || "iptables";
  if (backend === "firewalld")
    throw new CniError(
      CNI_ERROR.unsupportedField,
      `firewall: unsupported backend "firewalld": use "iptables", and give the bridge to a zone: firewall-cmd --zone=trusted --add-interface`,
    );
  if (backend !== "iptables") return invalid(`unknown backend ${JSON.stringify(backend)}: want "iptables"`);
  const ingressPolicy = stringField(raw, "ingressPolicy") || "open";
  if (ingressPolicy !== "open" && ingressPolicy !== "same-bridge" && ingressPolicy !== "isolated")
    return invalid(
      `unknown ingress policy: ${JSON.stringify(ingressPolicy)}; want "open", "same-bridge" or "isolated"`,
    );
  return { adminChain: stringField(raw, "iptablesAdminChainName") || "CNI-ADMIN", ingressPolicy };
}

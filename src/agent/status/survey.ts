import type { Backend, ExternalInterface } from "../../backend/index.ts";
import type { NetworkConfig } from "../../formats/flannel/index.ts";
import type { Prefix } from "../../formats/netip/index.ts";
import { type GatewayRuleset, gatewayTables } from "../../gateway/index.ts";
import { type HostRtnl, listHost } from "../../host/index.ts";
import type { NetNs, Nft } from "../../kernel/index.ts";
import { masqueradeRuleset, masqueradeTables } from "../../masquerade/index.ts";
import type { Lease } from "../../subnet/index.ts";
import { familiesOf } from "../families.ts";
import { masqueradeConfig, masqueradeMode } from "../masquerade.ts";
import type { AgentOptions } from "../options.ts";
import { subnetEnv } from "../own-subnet.ts";
import { checkForwarding, checkIptables, checkSubnetFile, checkTables } from "./checks.ts";
import { type Drift, driftOf } from "./drift.ts";
import type { Check } from "./status.ts";

export interface Survey {
  readonly rtnl: HostRtnl;
  readonly backend: Backend;
  readonly external: ExternalInterface;
  readonly own: Lease;
  /** The other nodes'. */
  readonly leases: readonly Lease[];
  readonly blackholes: readonly Prefix[];
}

/** Every peer and device against the kernel; changes nothing. */
export function surveyDatapath({ rtnl, backend, external, own, leases, blackholes }: Survey): Drift {
  const actual = listHost(rtnl);
  const problems = backend.findDevices?.(external, own.attrs) ?? [];
  const wanted = { ...backend.wanted(own, leases, external, actual), blackholes };
  return driftOf(actual, wanted, leases, problems);
}

export interface NodeSurvey {
  readonly options: AgentOptions;
  readonly network: NetworkConfig;
  readonly own: Lease;
  readonly mtuBytes: number;
  readonly nft: Nft | undefined;
  readonly ns?: NetNs | undefined;
  /** What the gateway's tables should hold; undefined: nobody knows, because the store does not answer. */
  readonly gateway: readonly GatewayRuleset[] | undefined;
}

/** What the node has besides devices and peers. */
export async function surveyNode(survey: NodeSurvey): Promise<Check[]> {
  const { options, network, own, mtuBytes, nft, ns, gateway } = survey;
  const masquerade = masqueradeConfig(network, own, options);
  const checks = [
    ...checkForwarding(familiesOf(network), ns),
    checkSubnetFile(options.subnetFile, subnetEnv(network, own, mtuBytes, options)),
  ];
  if (options.ipMasq || options.iptablesForwardRules)
    checks.push(
      masqueradeMode(network, options) === "iptables"
        ? await checkIptables("masquerade and forward rules", masquerade, ns)
        : withNft("masquerade and forward rules", nft, (opened, of) =>
            checkTables(of, opened, masqueradeRuleset(masquerade), masqueradeTables(masquerade)),
          ),
    );
  if (options.gateway)
    checks.push(
      withNft("gateway rules", nft, (opened, of) =>
        gateway
          ? checkTables(of, opened, gateway.map(({ text }) => text).join(""), gatewayTables(familiesOf(network)))
          : { of, verdict: "unknown", why: "the store's Services are not known" },
      ),
    );
  return checks;
}

function withNft(of: string, nft: Nft | undefined, check: (nft: Nft, of: string) => Check): Check {
  return nft ? check(nft, of) : { of, verdict: "unknown", why: "nftables is not installed" };
}

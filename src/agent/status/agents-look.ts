import type { Backend, ExternalInterface } from "../../backend/index.ts";
import type { NetworkConfig } from "../../formats/flannel/index.ts";
import type { Gateway } from "../../gateway/index.ts";
import type { Nft } from "../../kernel/index.ts";
import type { StoreState } from "../../store/index.ts";
import type { Lease, SubnetManager } from "../../subnet/index.ts";
import type { Datapath } from "../datapath.ts";
import type { AgentOptions } from "../options.ts";
import { leaseText } from "./look.ts";
import type { NodeStatus } from "./status.ts";
import { surveyNode } from "./survey.ts";

export interface AgentsLook {
  readonly options: AgentOptions;
  readonly network: NetworkConfig;
  readonly external: ExternalInterface;
  readonly backend: Backend;
  readonly lease: Lease;
  readonly nft: Nft | undefined;
  readonly gateway: Gateway | undefined;
  readonly datapath: Datapath;
  readonly subnets: Pick<SubnetManager, "skipped">;
  readonly state: StoreState;
}

/** The node as its running agent sees it: against the leases that it holds, whatever has become of the store. */
export async function agentsLook(look: AgentsLook): Promise<NodeStatus> {
  const { options, network, external, backend, lease, nft, gateway, datapath, subnets, state } = look;
  const drift = datapath.drift();
  const { publicIp, publicIpv6 } = external;
  const mtuBytes = backend.mtuBytes(external);
  return {
    node: options.nodeName,
    agent: {
      state: "running",
      pid: process.pid,
      failures: datapath.status().failures.map(({ of, why }) => `cannot program ${of}: ${why}`),
    },
    seenBy: "agent",
    backend: backend.type,
    devices: backend.deviceNames,
    interface: external.name,
    ...(publicIp && { publicIp }),
    ...(publicIpv6 && { publicIpv6 }),
    mtuBytes,
    lease: leaseText(lease),
    store: { endpoints: options.etcdEndpoints, ...state, skippedLeases: subnets.skipped },
    checks: [
      ...drift.devices,
      ...(await surveyNode({ options, network, own: lease, mtuBytes, nft, gateway: gateway?.wanted() })),
    ],
    peers: drift.peers,
    stale: drift.stale,
    notes: [],
  };
}

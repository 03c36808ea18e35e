import { openBackend } from "../../backend/index.ts";
import { listGateway } from "../../gateway/index.ts";
import { listHost } from "../../host/index.ts";
import { type NetNs, Nft, Rtnl } from "../../kernel/index.ts";
import type { Store } from "../../store/index.ts";
import { type Lease, SubnetManager } from "../../subnet/index.ts";
import { messageOf } from "../errors.ts";
import { chooseInterface, describeInterface, interfaceOptionsOf } from "../external-interface.ts";
import { familiesOf } from "../families.ts";
import { gatewayOptionsOf } from "../gateway-options.ts";
import type { Log } from "../log.ts";
import type { AgentOptions } from "../options.ts";
import { blackholesOf } from "../own-subnet.ts";
import type { AgentInfo } from "./agent-info.ts";
import { peersOf } from "./drift.ts";
import type { NodeStatus } from "./status.ts";
import { surveyDatapath, surveyNode } from "./survey.ts";

export interface LookOptions {
  /** The agent's: which store, which interface, which rules. */
  readonly options: AgentOptions;
  readonly store: Store;
  /** The node's namespace; default: our own. */
  readonly ns?: NetNs | undefined;
  readonly agent: AgentInfo;
  /** How long the store may take. */
  readonly timeoutMs?: number;
}

/**
 * The node's kernel against the store's leases, seen from outside of the agent, which need not run: by the code that
 * reconciles, without carrying anything out. Does not throw; what cannot be told says so.
 */
export async function lookAtNode(look: LookOptions): Promise<NodeStatus> {
  const notes: string[] = [];
  const note = (fields: unknown, text?: string): void => {
    notes.push(text ?? String(fields));
  };
  const log: Log = { debug() {}, info() {}, warn: note, error: note };
  let found: Partial<NodeStatus> = {};
  try {
    found = await lookWith(look, log, (partial) => {
      found = { ...found, ...partial };
    });
  } catch (error) {
    const why = look.store.state().lastError ?? messageOf(error);
    found = { ...found, checks: [...(found.checks ?? []), { of: "leases", verdict: "unknown", why }] };
  }
  return {
    node: look.options.nodeName,
    agent: look.agent,
    seenBy: "status",
    devices: [],
    store: { endpoints: look.options.etcdEndpoints, ...look.store.state() },
    checks: [],
    peers: [],
    stale: [],
    ...found,
    notes,
  };
}

type Tell = (partial: Partial<NodeStatus>) => void;

async function lookWith(look: LookOptions, log: Log, tell: Tell): Promise<Partial<NodeStatus>> {
  const { options, store, ns, timeoutMs = 5000 } = look;
  const signal = AbortSignal.timeout(timeoutMs);
  const subnets = new SubnetManager({ store, prefix: options.etcdPrefix, nodeName: options.nodeName, log });
  using rtnl = Rtnl.open(ns);
  const network = await subnets.networkConfig(signal);
  const backend = openBackend({ rtnl, network, log, ...(ns && { ns }) });
  tell({ backend: backend.type, devices: backend.deviceNames });
  const leases = await subnets.leases(signal);

  const listing = listHost(rtnl);
  const asked = interfaceOptionsOf(options, network);
  const choice = chooseInterface(listing, asked, (address) => rtnl.routeTo(address));
  const external = describeInterface(listing, choice.name, { ...asked, prefer: choice.addresses });
  if (!external) throw new Error(`interface ${choice.name} is not there`);
  const { publicIp, publicIpv6 } = external;
  const mtuBytes = backend.mtuBytes(external);
  const about = {
    backend: backend.type,
    devices: backend.deviceNames,
    interface: external.name,
    ...(publicIp && { publicIp }),
    ...(publicIpv6 && { publicIpv6 }),
    mtuBytes,
    store: { endpoints: options.etcdEndpoints, ...store.state(), skippedLeases: subnets.skipped },
  };
  tell(about);
  const own = await subnets.held(external);
  if (!own) {
    const why = `the store has no lease of ${publicIp ?? publicIpv6 ?? external.name}`;
    return { ...about, checks: [{ of: "lease", verdict: "drift", why }] };
  }
  const services = await listGateway(store, gatewayOptionsOf(network, options), familiesOf(network));
  using nft = openNft(ns);
  const drift =
    backend.findDevices || backend.deviceNames.length === 0
      ? surveyDatapath({
          rtnl,
          backend,
          external,
          own,
          leases: peersOf(leases, own),
          blackholes: blackholesOf(own, options),
        })
      : { peers: [], stale: [], devices: [unknownDatapath(backend.type)] };
  return {
    ...about,
    lease: leaseText(own),
    checks: [...drift.devices, ...(await surveyNode({ options, network, own, mtuBytes, nft, ns, gateway: services }))],
    peers: drift.peers,
    stale: drift.stale,
  };
}

function unknownDatapath(type: string): NodeStatus["checks"][number] {
  return { of: `backend ${type}`, verdict: "unknown", why: "only the running agent can tell" };
}

function openNft(ns: NetNs | undefined): Nft | undefined {
  try {
    return Nft.open(ns);
  } catch {
    return undefined; // not installed, which the checks that need it tell
  }
}

export function leaseText(own: Lease): NonNullable<NodeStatus["lease"]> {
  const text = (prefix: Lease["subnet"]): string | undefined => prefix && `${prefix.address}/${prefix.length}`;
  const [subnet, ipv6Subnet] = [text(own.subnet), text(own.ipv6Subnet)];
  return {
    ...(subnet !== undefined && { subnet }),
    ...(ipv6Subnet !== undefined && { ipv6Subnet }),
    ...(own.expiresAt && { expiresAt: own.expiresAt.toISOString() }),
  };
}

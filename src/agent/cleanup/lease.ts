import { listHost } from "../../host/index.ts";
import { Rtnl } from "../../kernel/index.ts";
import type { Store } from "../../store/index.ts";
import { type Lease, SubnetManager } from "../../subnet/index.ts";
import { openStore } from "../agent.ts";
import { messageOf } from "../errors.ts";
import { chooseInterface, describeInterface, interfaceOptionsOf } from "../external-interface.ts";
import type { Log } from "../log.ts";
import type { AgentOptions } from "../options.ts";
import type { Found } from "./remains.ts";

/** What the store knows of the cluster; nothing when it does not answer. */
export interface StoredCluster {
  readonly leases: readonly Lease[];
  readonly own: Lease | undefined;
  readonly subnets: SubnetManager | undefined;
  readonly notes: readonly string[];
  close(): Promise<void>;
}

const nothing = (): void => {};
const SILENT: Log = { debug: nothing, info: nothing, warn: nothing, error: nothing };

/** @param isNeeded whether its not answering is worth a word; then it also gets longer */
export async function clusterLeases(options: AgentOptions, isNeeded: boolean): Promise<StoredCluster> {
  let store: Store | undefined;
  const close = async (): Promise<void> => void (await store?.[Symbol.asyncDispose]());
  try {
    store = await openStore(options, SILENT);
    const signal = AbortSignal.timeout(isNeeded ? 10_000 : 2000);
    const subnets = new SubnetManager({ store, prefix: options.etcdPrefix, nodeName: options.nodeName, log: SILENT });
    const asked = interfaceOptionsOf(options, await subnets.networkConfig(signal));
    const leases = await subnets.leases(signal);
    using rtnl = Rtnl.open();
    const listing = listHost(rtnl);
    const choice = chooseInterface(listing, asked, (address) => rtnl.routeTo(address));
    const external = describeInterface(listing, choice.name, { ...asked, prefer: choice.addresses });
    const own = external && (await subnets.held(external));
    return { leases, own, subnets, notes: [], close };
  } catch (error) {
    const why = store?.state().lastError ?? messageOf(error);
    const notes = isNeeded ? [`the lease in the store: ${why}`] : [];
    return { leases: [], own: undefined, subnets: undefined, notes, close };
  }
}

export function findLease({ own, subnets }: StoredCluster, { etcdEndpoints }: AgentOptions): Found {
  if (!own || !subnets) return { ours: [], left: [] };
  const name = [own.subnet, own.ipv6Subnet].flatMap((prefix) => (prefix ? [`${prefix.address}/${prefix.length}`] : []));
  const what = `lease ${name.join(" ")} in the store ${etcdEndpoints.join(",")}`;
  if (own.expiresAt === undefined)
    return { ours: [], left: [`${what}: it is a reservation, which somebody made by hand`] };
  return { ours: [{ what, remove: () => subnets.release(own) }], left: [] };
}

// A node's start, in the order in which things can go wrong: what only looks comes before what changes something, and
// each change pushes its inverse.
//
//   config -> interface -> backend -> leases -> device -> lease -> peers -> forwarding -> nft -> CNI -> subnet.env -> ready
//
// From then on the datapath belongs to the cluster: nothing undoes it, whatever becomes of this process.
import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { type Backend, BackendError, type ExternalInterface, openBackend } from "../backend/index.ts";
import { FlannelError, formatSubnetKey, type NetworkConfig } from "../formats/flannel/index.ts";
import { formatPrefix } from "../formats/netip/index.ts";
import { Gateway } from "../gateway/index.ts";
import type { ActualState } from "../host/index.ts";
import { Nft, Rtnl, readSysctl, watchRtnl } from "../kernel/index.ts";
import type { Store } from "../store/index.ts";
import { type Lease, SubnetManager } from "../subnet/index.ts";
import type { AgentHooks, AgentStatus, ReadyReport } from "./agent.ts";
import { type CniServerOptions, startCniServer } from "./cni-server.ts";
import { Datapath } from "./datapath.ts";
import { AgentError, messageOf } from "./errors.ts";
import { interfaceOptionsOf, refuseOverlap } from "./external-interface.ts";
import { familiesOf } from "./families.ts";
import { gatewayOptionsOf } from "./gateway-options.ts";
import { LeaseFeed } from "./lease-feed.ts";
import { removeUnwantedGateway } from "./leftovers.ts";
import { ReconcileLoop } from "./loop.ts";
import { keepMasquerade, masqueradeConfig, masqueradeMode, removeOtherMasquerade } from "./masquerade.ts";
import type { Observer } from "./observer.ts";
import type { AgentOptions, MasqueradeMode } from "./options.ts";
import { OwnLease } from "./own-lease.ts";
import { blackholesOf, subnetEnv, undoBlackholes } from "./own-subnet.ts";
import { leaseKey, PeerSet } from "./peer-set.ts";
import { ensureForwarding, FORWARDING } from "./preflight.ts";
import { Settings } from "./settings.ts";
import { agentsLook } from "./status/agents-look.ts";
import type { NodeStatus } from "./status/status.ts";
import { previousSubnets, writeSubnetFile } from "./subnet-file.ts";
import { changesOf, Underlay } from "./underlay.ts";
import type { Undo } from "./undo.ts";

/** How long a store may take to answer before that is worth a line. */
const STORE_PATIENCE_MS = 1000;

/** A pass that is so late never comes: passes take milliseconds, and each of their parts has its own end. */
const STUCK_AFTER_MS = 60_000;

export interface StartOptions {
  readonly options: AgentOptions;
  readonly hooks: AgentHooks;
  readonly store: Store;
  readonly signal: AbortSignal;
  readonly observer?: Observer | undefined;
  /** What the start makes, to be undone if it fails. */
  readonly made: Undo;
  /** What the start opens, to be closed at the end. */
  readonly open: Undo;
}

export interface RunningNode {
  readonly report: ReadyReport;
  readonly status: () => AgentStatus;
  /** The kernel against the leases that this process holds, by a look that changes nothing. */
  readonly look: () => Promise<NodeStatus>;
  /** Why the process should be started again, if it should. */
  readonly whyDead: () => string | undefined;
  /** What of the node is not as it should be now. */
  readonly whyNotReady: () => string | undefined;
  /** Keeps everything as it should be until the signal. */
  run(): Promise<void>;
}

export async function startNode(start: StartOptions): Promise<RunningNode> {
  const { options, hooks, store, made, open, observer } = start;
  const { log } = hooks;
  const stop = new AbortController();
  open.push("stop watching", () => stop.abort());
  const signal = AbortSignal.any([start.signal, stop.signal]);

  const subnets = new SubnetManager({ store, prefix: options.etcdPrefix, nodeName: options.nodeName, log });
  const configKey = `${subnets.prefix}/config`;
  const network = await whileTelling(start, subnets.networkConfig(signal)).catch((e) => blame(configKey, e));
  const rtnl = open.use("close rtnetlink", Rtnl.open());
  const asked = interfaceOptionsOf(options, network);
  const refuse = (there: ExternalInterface, { addresses }: Pick<ActualState, "addresses">): void =>
    refuseOverlap(network, there, addresses, configKey);
  const underlay = Underlay.choose(rtnl, asked, log, refuse);
  const { external } = underlay;
  let askForPass = (): void => {};
  const backend = openBackendOf(configKey, {
    rtnl,
    network,
    stateDir: dirname(options.subnetFile),
    onChange: () => askForPass(),
    log,
  });
  open.push(`stop backend ${backend.type}`, () => backend.stop?.());

  const feed = new LeaseFeed(subnets, signal);
  const leases = await feed.first;
  const attrs = await backend.leaseAttrs(external, leases);
  const had = backend.deviceNames.some((name) => rtnl.link(name));
  if (!had) made.push(`undo what backend ${backend.type} made`, () => backend.removeDevices());
  backend.ensureDevices(external, attrs);
  const own = await subnets.acquire(attrs, previousSubnets(options.subnetFile));
  if (!leases.some((lease) => leaseKey(lease) === leaseKey(own)))
    made.push(`release subnet ${leaseKey(own)}`, () =>
      store.delete(`${subnets.prefix}/subnets/${formatSubnetKey(own)}`),
    );

  const peers = new PeerSet(own);
  const ranges = [network.ipv4?.network, network.ipv6?.network].filter((range) => range !== undefined);
  const blackholes = blackholesOf(own, options);
  undoBlackholes(blackholes, rtnl, made);
  const marginMs = options.subnetLeaseRenewMargin * 60_000;
  const ownLease = new OwnLease({ subnets, lease: own, renewMarginMs: marginMs, log });
  /** Pods that come from now on get the MTU that fits. */
  const tellPods = (there: ExternalInterface): boolean =>
    writeSubnetFile(options.subnetFile, subnetEnv(network, own, backend.mtuBytes(there), options));
  underlay.listen((now, before) => {
    log.warn({ interface: now.name }, `interface ${now.name} is another: ${changesOf(now, before)}`);
    tellPods(now);
    const { publicIp = own.attrs.publicIp, publicIpv6 } = now;
    ownLease.publish({ publicIp, ...(publicIpv6 && { publicIpv6 }) });
  });
  const { resyncMs } = options;
  const datapath = new Datapath({ rtnl, backend, underlay, peers, own, ranges, blackholes, resyncMs, log, observer });
  const settings = new Settings({
    families: familiesOf(network),
    device: external.name,
    writeSubnetFile: () => tellPods(underlay.external),
    log,
  });
  const loop = new ReconcileLoop(() => {
    settings.keep();
    return datapath.pass();
  }, resyncMs);
  askForPass = () => loop.trigger();
  open.use(
    "stop watching rtnetlink",
    // Before the first listing, so that nothing changes unseen between the two.
    watchRtnl(
      undefined,
      (event) => {
        const delay = datapath.delayAfter(event);
        if (delay !== undefined) loop.trigger(delay);
      },
      () => loop.trigger(datapath.delayAfterLoss()),
      { families: familiesOf(network), links: (link) => datapath.concerns(link) },
    ),
  );
  feed.listen((now) => {
    peers.update(now, performance.now());
    datapath.retryNow();
    loop.trigger();
  });
  await datapath.pass();
  if (datapath.fatal) throw datapath.fatal;

  for (const family of familiesOf(network)) {
    const undo = ensureForwarding(family, external.name);
    if (undo) made.push("turn forwarding off again", undo);
  }
  const mode = masqueradeMode(network, options);
  const nft = openNft(start, mode);
  const onRestored = observer && (() => observer.masqueradeRestored());
  const { masquerade, places } = await keepMasquerade(masqueradeConfig(network, own, options), {
    ...{ options, mode, nft, log, made, open, onRestored },
  });
  if (options.cniSocket) await startCni(options.cniSocket, start);
  tellPods(external);

  const gateway = nft && options.gateway ? newGateway(nft, network, start) : undefined;
  // Last, because a start that fails could not bring them back.
  removeUnwantedGateway(options.gateway ? familiesOf(network) : [], nft, log);
  await removeOtherMasquerade(places, nft, log);
  const about = (): Omit<ReadyReport, "ready"> => describe(options, underlay.external, backend, ownLease.lease);
  return {
    report: { ready: true, ...about() },
    look: () => {
      const [{ external: now }, { lease }, state] = [underlay, ownLease, store.state()];
      return agentsLook({ options, network, external: now, backend, lease, nft, gateway, datapath, subnets, state });
    },
    status: () => ({
      ...about(),
      datapath: datapath.status(),
      ...(backend.traffic && { traffic: backend.traffic() }),
      store: store.state(),
      skippedLeases: subnets.skipped,
      ...(masquerade && { masquerade: { mode: masquerade.mode, isInPlace: masquerade.isInPlace() } }),
      ...(ownLease.lease.expiresAt && { leaseExpiresAt: ownLease.lease.expiresAt.toISOString() }),
      ...(gateway && { gateway: gatewayStatus(gateway) }),
    }),
    whyDead: () => {
      const { lateMs } = loop;
      return lateMs > STUCK_AFTER_MS
        ? `the kernel's state was not looked at for ${Math.round(lateMs / 1000)} s`
        : undefined;
    },
    whyNotReady: () => {
      const down = backend.deviceNames.find((name) => !rtnl.link(name)?.isUp);
      if (down) return `device ${down} is not up`;
      if (datapath.fatal) return messageOf(datapath.fatal);
      const off = familiesOf(network).find((family) => readSysctl(FORWARDING[family]) !== "1");
      if (off) return `forwarding of IPv${off} is turned off`;
      if (!existsSync(options.subnetFile)) return `the subnet file ${options.subnetFile} is missing`;
      if (masquerade && !masquerade.isInPlace()) return "the masquerade rules are not in place";
      return undefined;
    },
    run: async () => {
      const parts = [feed.done, ownLease.run(signal), loop.run(signal), gateway?.run(signal)];
      // None of them ends before the signal but by a bug; then the process ends, its supervisor starts it again, and
      // the datapath goes on meanwhile.
      await Promise.all(parts);
    },
  };
}

/** Says what is waited for when the store does not answer; a store that answers without a config is subnet's to tell. */
async function whileTelling<T>({ hooks, store }: StartOptions, waiting: Promise<T>): Promise<T> {
  let said: string | undefined;
  const timer = setInterval(() => {
    const { connected, lastError = "no answer yet" } = store.state();
    if (connected || said === lastError) return;
    said = lastError;
    hooks.log.warn({}, `waiting for the store (--etcd-endpoints): ${lastError}`);
  }, STORE_PATIENCE_MS);
  try {
    return await waiting;
  } finally {
    clearInterval(timer);
  }
}

/** An error in the config says where the config is. */
function blame(configKey: string, error: unknown): never {
  if (!(error instanceof FlannelError || error instanceof BackendError)) throw error;
  throw new AgentError(`${error.message} (the network config is ${configKey} in the store)`, { cause: error });
}

function openBackendOf(configKey: string, options: Parameters<typeof openBackend>[0]): Backend {
  try {
    return openBackend(options);
  } catch (error) {
    return blame(configKey, error);
  }
}

/** undefined when nothing needs it: neither masquerade nor forward rules nor the gateway are wanted. */
function openNft({ options, open }: StartOptions, mode: MasqueradeMode): Nft | undefined {
  const wantsTables = mode === "nft" && (options.ipMasq || options.iptablesForwardRules);
  if (!wantsTables && !options.gateway) return undefined;
  return open.use("close nft", Nft.open());
}

async function startCni(socketPath: string, { hooks, open, observer }: StartOptions): Promise<void> {
  const onCall: CniServerOptions["onCall"] = observer && ((call) => observer.cniCalled(call));
  open.use("close the CNI socket", await startCniServer({ socketPath, log: hooks.log, onCall }));
}

function newGateway(nft: Nft, network: NetworkConfig, { options, hooks, store }: StartOptions): Gateway {
  return new Gateway({
    nft,
    store,
    families: familiesOf(network),
    ...gatewayOptionsOf(network, options),
    log: hooks.log,
  });
}

function gatewayStatus(gateway: Gateway): NonNullable<AgentStatus["gateway"]> {
  const status = gateway.status();
  return { ...status, badValues: Object.fromEntries(status.badValues) };
}

function describe(
  options: AgentOptions,
  external: ExternalInterface,
  backend: Backend,
  own: Lease,
): Omit<ReadyReport, "ready"> {
  return {
    pid: process.pid,
    node: options.nodeName,
    ...(own.subnet && { subnet: formatPrefix(own.subnet) }),
    ...(own.ipv6Subnet && { ipv6Subnet: formatPrefix(own.ipv6Subnet) }),
    interface: external.name,
    publicIp: own.attrs.publicIp,
    backend: backend.type,
    devices: backend.deviceNames,
    mtu: backend.mtuBytes(external),
  };
}

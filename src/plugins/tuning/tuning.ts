// Settings of the container's interface and namespace, behind the plugin that makes the interface. DEL gives the
// interface back as it was: it may be a device that outlives the container.
import { CNI_ERROR, CniError, type Result } from "../../formats/cni/index.ts";
import { IFF_ALLMULTI, IFF_PROMISC, type LinkChange, setLink } from "../../formats/netlink/index.ts";
import { readSysctl, writeSysctl } from "../../kernel/index.ts";
import { findPod, openPod, type Pod } from "../netns.ts";
import type { Call, Plugin } from "../plugin.ts";
import { requirePrevResult } from "../rules/call-rules.ts";
import { readBackup, removeBackup, writeBackup } from "./backup.ts";
import { readTuningConf, type TuningConf } from "./conf.ts";

export const tuning: Plugin = {
  add(call: Call): Result {
    const conf = readTuningConf(call);
    const result = requirePrevResult(call, "tuning");
    const change = changeOf(conf);
    if (!change && conf.sysctls.size === 0) return result; // as podman has it in every chain
    using pod = openPod(call);
    if (change) applyToLink(call, pod, conf, change);
    for (const [name, value] of conf.sysctls) setSysctl(pod, name, value);
    return tuned(result, call, conf);
  },

  del(call: Call): void {
    const { dataDir } = readTuningConf(call);
    using pod = findPod(call);
    if (pod) restore(call, pod, dataDir);
    removeBackup({ ...call, dataDir });
  },

  check(call: Call): void {
    const conf = readTuningConf(call);
    requirePrevResult(call, "tuning");
    using pod = openPod(call);
    for (const [name, value] of conf.sysctls) {
      const has = readSysctl(name, pod.netns);
      if (has?.replace(/\s+/g, " ") !== value.trim().replace(/\s+/g, " "))
        throw failure(`sysctl ${name} is ${has ?? "not there"}, not ${value}`);
    }
    if (changeOf(conf)) checkLink(pod, conf);
  },

  status(): void {},
  gc(): void {}, // what is kept is on a tmpfs, and small
};

function failure(message: string): CniError {
  return new CniError(CNI_ERROR.internal, message);
}

/** undefined when the interface stays as it is. */
function changeOf(conf: TuningConf): Omit<LinkChange, "index" | "name"> | undefined {
  const change = {
    ...(conf.mac ? { address: conf.mac } : {}),
    ...(conf.mtu ? { mtu: conf.mtu } : {}),
    ...(conf.promisc ? { promiscuous: true } : {}),
    ...(conf.allmulti ? { allMulticast: true } : {}),
    ...(conf.txQLen === undefined ? {} : { txQueueLength: conf.txQLen }),
  };
  return Object.keys(change).length > 0 ? change : undefined;
}

function applyToLink(call: Call, pod: Pod, conf: TuningConf, change: Omit<LinkChange, "index" | "name">): void {
  const link = pod.rtnl.link(call.ifName);
  if (!link) throw failure(`interface ${call.ifName} is missing in ${call.netns}`);
  writeBackup({ ...call, dataDir: conf.dataDir }, link, conf);
  call.undo.push(`the settings of ${call.ifName}`, () => {
    using again = findPod(call);
    if (again) restore(call, again, conf.dataDir);
    removeBackup({ ...call, dataDir: conf.dataDir });
  });
  pod.rtnl.execute(setLink({ index: link.index, ...change }));
}

/** Never fails: a container must be able to go. */
function restore(call: Call, pod: Pod, dataDir: string): void {
  const before = readBackup({ ...call, dataDir }, call.log);
  const link = before && pod.rtnl.link(call.ifName);
  if (!link) return;
  try {
    pod.rtnl.execute(setLink({ index: link.index, ...before }));
  } catch (e) {
    call.log(e instanceof Error ? e.message : String(e));
  }
}

function setSysctl(pod: Pod, name: string, value: string): void {
  try {
    writeSysctl(name, value, pod.netns);
  } catch (cause) {
    throw new CniError(
      CNI_ERROR.internal,
      `Cannot set sysctl ${name} to ${JSON.stringify(value)}: ${cause instanceof Error ? cause.message : cause}`,
      { cause },
    );
  }
}

/** The result tells what the interface is now: CHECK of the plugin that made it goes by it. */
function tuned(result: Result, call: Call, { mac, mtu }: TuningConf): Result {
  return {
    ...result,
    interfaces: result.interfaces.map((each) =>
      each.name === call.ifName && each.sandbox
        ? { ...each, ...(mac ? { mac } : {}), ...(mtu && each.mtu ? { mtu } : {}) }
        : each,
    ),
  };
}

function checkLink({ rtnl, ifName }: Pod, conf: TuningConf): void {
  const link = rtnl.link(ifName);
  if (!link) throw failure(`interface ${ifName} is missing`);
  const claims: [boolean, string][] = [
    [conf.mac !== undefined && link.address !== conf.mac, `MAC address ${link.address}, not ${conf.mac}`],
    [conf.mtu !== undefined && link.mtu !== conf.mtu, `MTU ${link.mtu}, not ${conf.mtu}`],
    [conf.promisc && (link.flags & IFF_PROMISC) === 0, "no promiscuous mode"],
    [conf.allmulti && (link.flags & IFF_ALLMULTI) === 0, "no all-multicast mode"],
    [
      conf.txQLen !== undefined && link.txQueueLength !== conf.txQLen,
      `queue length ${link.txQueueLength}, not ${conf.txQLen}`,
    ],
  ];
  for (const [isWrong, what] of claims) if (isWrong) throw failure(`${ifName} has ${what}`);
}

// Deleting a veth takes the kernel 20 ms, of which the device is gone from sight after the first one to five: the rest
// is a wait for RCU readers, outside the RTNL lock. So the kernel is asked on another thread, whoever asked goes on as
// soon as the device is gone, and devices that come while all threads are taken are deleted together, for the price of
// one. Once asked the kernel finishes, even if this process is killed meanwhile.
import { setTimeout as delay } from "node:timers/promises";
import type { Result } from "../../formats/cni/index.ts";
import type { Link } from "../../formats/netlink/index.ts";
import { Rtnl } from "../../kernel/index.ts";
import type { Pod } from "../netns.ts";

/** As many as Rtnl.executeAsync() has at once. */
const THREADS = 3;

interface Victim {
  readonly index: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

let waiting: Victim[] = [];
let running = 0;

/**
 * Deletes the pod's interface, and its peer with it. By the peer, so that several pods' can go together, where the
 * result of ADD tells for certain which that is: an index alone may mean a device of another namespace.
 */
export async function removeFromPod({ rtnl, ifName }: Pod, result: Result | undefined): Promise<void> {
  const link = rtnl.link(ifName);
  if (!link) return;
  const isGone = (): boolean => rtnl.link(link.index)?.name !== ifName;
  const hostIndex = hostEnd(link, result);
  if (hostIndex === undefined) await whenGone(rtnl.deleteLinks([link.index]), isGone);
  else await removeLink(hostIndex, isGone);
}

function hostEnd(link: Link, result: Result | undefined): number | undefined {
  if (link.kind?.kind !== "veth") return undefined;
  using host = Rtnl.open();
  return (result?.interfaces ?? [])
    .filter(({ sandbox, mac }) => !sandbox && mac)
    .map(({ name, mac }) => ({ end: host.link(name), mac }))
    .find(({ end, mac }) => end?.index === link.link && end?.link === link.index && end?.address === mac)?.end?.index;
}

/** Deletes the host's device `index`, and resolves when `isGone` says that it cannot be seen any more. */
export function removeLink(index: number, isGone: () => boolean): Promise<void> {
  const answered = new Promise<void>((resolve, reject) => waiting.push({ index, resolve, reject }));
  next();
  return whenGone(answered, isGone);
}

async function whenGone(answered: Promise<void>, isGone: () => boolean): Promise<void> {
  let isAnswered = false;
  const settled = answered.finally(() => {
    isAnswered = true;
  });
  settled.catch(() => {}); // awaited below, unless the device is gone first
  for (let pauseMs = 1; !isAnswered && !isGone(); pauseMs = Math.min(5, pauseMs + 1))
    await Promise.race([delay(pauseMs), settled]);
  if (isAnswered) await settled;
}

function next(): void {
  if (running >= THREADS || waiting.length === 0) return;
  const batch = waiting;
  waiting = [];
  running++;
  void deleteAll(batch).finally(() => {
    running--;
    next();
  });
}

async function deleteAll(batch: readonly Victim[]): Promise<void> {
  try {
    using rtnl = Rtnl.open();
    await rtnl.deleteLinks(batch.map(({ index }) => index));
    for (const { resolve } of batch) resolve();
  } catch (e) {
    for (const { reject } of batch) reject(e);
  }
}

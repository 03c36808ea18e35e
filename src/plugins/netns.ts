import { CNI_ERROR, CniError } from "../formats/cni/index.ts";
import { isNotFound, NetNs, Rtnl } from "../kernel/index.ts";
import type { Call } from "./plugin.ts";

/** The container's network namespace, and a connection into it. */
export interface Pod extends Disposable {
  readonly netns: NetNs;
  readonly rtnl: Rtnl;
  readonly ifName: string;
}

/** @throws {CniError} code 8 when there is no namespace at CNI_NETNS */
export function openPod(call: Call): Pod {
  try {
    return open(call);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new CniError(CNI_ERROR.invalidNetns, `failed to open netns ${JSON.stringify(call.netns)}: ${why}`, { cause });
  }
}

/** For DEL: undefined when the namespace is gone, was never given, or its path now holds something else. */
export function findPod(call: Call): Pod | undefined {
  if (call.netns === "") return undefined;
  try {
    return open(call);
  } catch (e) {
    if (!isNotFound(e)) call.log(`no network namespace at ${call.netns}: ${e instanceof Error ? e.message : e}`);
    return undefined;
  }
}

/** An unmounted name stays as an ordinary file, which can be opened and not entered: Rtnl.open() tells. */
function open(call: Call): Pod {
  const netns = NetNs.open(call.netns, call.host.netns);
  try {
    const rtnl = Rtnl.open(netns);
    return {
      netns,
      rtnl,
      ifName: call.ifName,
      [Symbol.dispose]() {
        rtnl[Symbol.dispose]();
        netns.close();
      },
    };
  } catch (e) {
    netns.close();
    throw e;
  }
}

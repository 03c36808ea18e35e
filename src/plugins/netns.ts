import { CNI_ERROR, CniError } from "../formats/cni/index.ts";
import { inNs, isNotFound, NetNs } from "../kernel/index.ts";
import type { Call } from "./plugin.ts";

/** The container's namespace. @throws {CniError} code 8 when there is none at CNI_NETNS */
export function openNetns(call: Call): NetNs {
  try {
    return openChecked(call.netns);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new CniError(CNI_ERROR.invalidNetns, `failed to open netns ${JSON.stringify(call.netns)}: ${why}`, { cause });
  }
}

/** For DEL: undefined when the namespace is gone, was never given, or its path now holds something else. */
export function findNetns(call: Call): NetNs | undefined {
  if (call.netns === "") return undefined;
  try {
    return openChecked(call.netns);
  } catch (e) {
    if (!isNotFound(e))
      call.log(`${call.netns} is no network namespace any more: ${e instanceof Error ? e.message : e}`);
    return undefined;
  }
}

/** An unmounted name stays as an ordinary file, which opens and is no namespace: only entering it tells. */
function openChecked(path: string): NetNs {
  const netns = NetNs.open(path);
  try {
    inNs(netns, () => {});
    return netns;
  } catch (e) {
    netns.close();
    throw e;
  }
}

import { CNI_ERROR, CniError, type Result } from "../formats/cni/index.ts";
import { parsePrefix } from "../formats/netip/index.ts";
import { setLink } from "../formats/netlink/index.ts";
import { findPod, openPod } from "./netns.ts";
import type { Call, Plugin } from "./plugin.ts";

const LO = "lo"; // whatever CNI_IFNAME says

/** Sets lo up. containerd executes it for every pod, beside the network's own plugins. */
export const loopback: Plugin = {
  add(call: Call): Result {
    using pod = openPod(call);
    const { rtnl } = pod;
    rtnl.execute(setLink({ name: LO, isUp: true }));
    if (call.conf.prevResult) return call.conf.prevResult;
    const lo = rtnl.link(LO);
    const own = new Set(
      rtnl
        .addresses()
        .filter(({ index }) => index === lo?.index)
        .map(({ prefix }) => prefix.address),
    );
    const ips = ["127.0.0.1/8", "::1/128"].map(parsePrefix).filter(({ address }) => own.has(address)); // ::1 is missing without IPv6
    return {
      interfaces: [{ name: LO, mac: lo?.address ?? "00:00:00:00:00:00", sandbox: call.netns }],
      ips: ips.map((address) => ({ interface: 0, address })),
      routes: [],
      dns: {},
    };
  },

  del(call: Call): void {
    using pod = findPod(call);
    pod?.rtnl.execute(setLink({ name: LO, isUp: false }));
  },

  check(call: Call): void {
    using pod = openPod(call);
    const { rtnl } = pod;
    if (!rtnl.link(LO)?.isUp) throw new CniError(CNI_ERROR.internal, `lo is down in ${call.netns}: ADD sets it up`);
  },

  status(): void {},
  gc(): void {},
};

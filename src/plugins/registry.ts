import { bandwidth } from "./bandwidth/bandwidth.ts";
import { bridge } from "./bridge/bridge.ts";
import { firewall } from "./firewall/firewall.ts";
import { flannel } from "./flannel/flannel.ts";
import { hostLocal } from "./host-local/host-local.ts";
import { loopback } from "./loopback.ts";
import type { Plugin } from "./plugin.ts";
import { portmap } from "./portmap/portmap.ts";
import { ptp } from "./ptp/ptp.ts";
import { tuning } from "./tuning/tuning.ts";

/** The plugins that live here, by the name of their executable. */
export const PLUGINS: ReadonlyMap<string, Plugin> = new Map([
  ["flannel", flannel],
  ["bridge", bridge],
  ["host-local", hostLocal],
  ["loopback", loopback],
  ["portmap", portmap],
  ["bandwidth", bandwidth],
  ["ptp", ptp],
  ["tuning", tuning],
  ["firewall", firewall],
]);

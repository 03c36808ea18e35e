/**
 * The CNI plugins (CNI specification 1.1.0): flannel, bridge, ptp, host-local, portmap, bandwidth,
 * tuning, firewall, loopback, and the tiny executable that stands for them in /opt/cni/bin. The same code runs inside the agent and in the one-file Node fallback.
 *
 * May not know the agent, the store or the lab: all it is told comes by CNI_* environment, stdin and files.
 */

export { Host } from "./host.ts";
export { freeAddressesOfEarlierBoots } from "./host-local/host-local.ts";
export { installCni } from "./install.ts";
export { askStatus, collectGarbage, type PluginSays } from "./inventory/ask.ts";
export { listAttachments, type NodeAttachment } from "./inventory/attachments.ts";
export { readNetworks } from "./inventory/networks.ts";
export { RuleKeeper } from "./rule-keeper.ts";
export { type PluginReply, type PluginRequest, runPlugin } from "./skel.ts";
export { findCni } from "./uninstall.ts";

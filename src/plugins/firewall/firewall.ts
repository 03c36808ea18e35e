// Lets a container's packets through a firewall that forwards nothing by itself (iptables -P FORWARD DROP, as Docker
// sets it). podman has it in every chain. Where iptables is not installed there is no such firewall to open.
import { CNI_ERROR, CniError, type Result } from "../../formats/cni/index.ts";
import { Iptables, IptablesError } from "../../kernel/index.ts";
import type { Call, Plugin } from "../plugin.ts";
import { addRules, checkRules, collectRules, removeRules, requirePrevResult } from "../rules/call-rules.ts";
import { readFirewallConf } from "./conf.ts";
import { FIREWALL_RULES } from "./rules.ts";

export const firewall: Plugin = {
  rules: FIREWALL_RULES.maker,

  async add(call: Call): Promise<Result> {
    const { ingressPolicy } = readFirewallConf(call.conf);
    const result = requirePrevResult(call, "firewall");
    if (await hasIptables()) await addRules(call, FIREWALL_RULES, result);
    else if (ingressPolicy !== "open")
      throw new CniError(
        CNI_ERROR.internal,
        `firewall: ingressPolicy ${JSON.stringify(ingressPolicy)} needs iptables: install it (Debian, Ubuntu: apt-get install iptables)`,
      );
    return result;
  },

  async del(call: Call): Promise<void> {
    await removeRules(call, FIREWALL_RULES, true);
  },

  async check(call: Call): Promise<void> {
    readFirewallConf(call.conf);
    requirePrevResult(call, "firewall");
    if (await hasIptables()) await checkRules(call, FIREWALL_RULES);
  },

  status(call: Call): void {
    readFirewallConf(call.conf);
  },

  async gc(call: Call): Promise<void> {
    await collectRules(call, FIREWALL_RULES);
  },
};

async function hasIptables(): Promise<boolean> {
  try {
    await Iptables.open(4);
    return true;
  } catch (e) {
    if (e instanceof IptablesError && e.reason === undefined) return false;
    throw e;
  }
}

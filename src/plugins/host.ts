import type { IpFamily } from "../formats/netip/index.ts";
import { NetNs, OpenSysctl, Rtnl, writeSysctl } from "../kernel/index.ts";
import { LinkRemoval, type RemovalOptions } from "./link-removal.ts";
import { HostRules } from "./rules/host-rules.ts";

const FORWARDING = { 4: "net/ipv4/ip_forward", 6: "net/ipv6/conf/all/forwarding" } as const;

/**
 * The node's side of CNI calls: one rtnetlink connection into the namespace this was first used in, its netfilter rules,
 * and the devices on their way out. Whoever runs many calls keeps one for all of them; a call that is given none has its own.
 */
export class Host implements Disposable {
  #rtnl: Rtnl | undefined;
  #netns: NetNs | undefined;
  readonly #forwarding = new Map<IpFamily, OpenSysctl>();
  readonly removal: LinkRemoval;
  readonly rules: HostRules = new HostRules();

  constructor(options: RemovalOptions = {}) {
    this.removal = new LinkRemoval(() => this.rtnl, options);
  }

  get rtnl(): Rtnl {
    this.#rtnl ??= Rtnl.open();
    return this.#rtnl;
  }

  get netns(): NetNs {
    this.#netns ??= NetNs.self();
    return this.#netns;
  }

  isForwarding(family: IpFamily): boolean {
    let sysctl = this.#forwarding.get(family);
    if (!sysctl) {
      sysctl = OpenSysctl.open(FORWARDING[family]);
      this.#forwarding.set(family, sysctl);
    }
    return sysctl.read() === "1";
  }

  ensureForwarding(family: IpFamily): void {
    if (!this.isForwarding(family)) writeSysctl(FORWARDING[family], 1);
  }

  /** Deletions under way go on. */
  [Symbol.dispose](): void {
    for (const sysctl of this.#forwarding.values()) sysctl[Symbol.dispose]();
    this.rules[Symbol.dispose]();
    this.#rtnl?.[Symbol.dispose]();
    this.#netns?.close();
  }
}

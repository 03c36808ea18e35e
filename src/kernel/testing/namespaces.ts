import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { parsePrefix } from "../../formats/netip/index.ts";
import { newAddress, newLink, setLink } from "../../formats/netlink/index.ts";
import { createUnnamedNetNs, inNs, type NetNs } from "../netns.ts";
import { Rtnl } from "../rtnl.ts";

/** For a test's `skip`: why network namespaces cannot be made here, or false. */
export function whyNoNetNs(): string | false {
  try {
    createUnnamedNetNs().close();
    return false;
  } catch (error) {
    return `needs a process that may make network namespaces (root, or root of a user namespace): ${error}`;
  }
}

/** Namespaces of one test file, and a connection to each. */
export class Namespaces implements Disposable {
  readonly #opened: Disposable[] = [];

  fresh(): { ns: NetNs; rtnl: Rtnl } {
    const ns = createUnnamedNetNs();
    const rtnl = Rtnl.open(ns);
    this.#opened.push(ns, rtnl);
    return { ns, rtnl };
  }

  [Symbol.dispose](): void {
    for (const resource of this.#opened.splice(0).reverse()) resource[Symbol.dispose]();
  }
}

// biome-ignore lint/suspicious/noExplicitAny: what `ip -j -d` prints has no schema
export type Says = any;

/** `ip -j -d …` or `bridge -j -d …` in the namespace. */
export function ask(ns: NetNs, command: string): Says[] {
  const [program = "", ...args] = command.split(" ");
  return JSON.parse(inNs(ns, () => execFileSync(program, ["-j", "-d", ...args], { encoding: "utf8" })) || "[]");
}

export function indexOf(rtnl: Rtnl, name: string): number {
  const link = rtnl.link(name);
  assert.ok(link, name);
  return link.index;
}

/** eth0 with an address, over a veth pair whose other end is up too. */
export function withUnderlay(rtnl: Rtnl): number {
  rtnl.execute(newLink({ name: "eth0", isUp: true, kind: { kind: "veth", peer: { name: "wire" } } }));
  rtnl.execute(setLink({ name: "wire", isUp: true }));
  const eth0 = indexOf(rtnl, "eth0");
  rtnl.execute(newAddress({ index: eth0, prefix: parsePrefix("192.168.100.11/24") }));
  return eth0;
}

// What the lab needs of the kernel, tried out in a namespace made for it before anything is built.
import { type LinkSpec, newLink } from "../formats/netlink/index.ts";
import { createUnnamedNetNs, isUnsupported, Nft, Rtnl } from "../kernel/index.ts";
import { LabError, reasonOf } from "./errors.ts";

const DEVICES: readonly { readonly spec: LinkSpec; readonly option: string }[] = [
  { spec: { name: "try-bridge", kind: { kind: "bridge" } }, option: "CONFIG_BRIDGE" },
  { spec: { name: "try-veth", kind: { kind: "veth", peer: { name: "try-peer" } } }, option: "CONFIG_VETH" },
  { spec: { name: "try-vxlan", kind: { kind: "vxlan", id: 1, port: 8472 } }, option: "CONFIG_VXLAN" },
];

const RULES = `table ip try {
  chain postrouting {
    type nat hook postrouting priority 100
    meta l4proto tcp masquerade
  }
}`;

/** @throws {LabError} naming what is missing; what was tried goes with its namespace */
export function requireKernel(): void {
  using ns = createUnnamedNetNs();
  using rtnl = Rtnl.open(ns);
  for (const { spec, option } of DEVICES) {
    const kind = spec.kind.kind;
    attempt(`make a ${kind} device`, `the kernel needs ${option}; try: modprobe ${kind}`, () =>
      rtnl.execute(newLink(spec)),
    );
  }
  attempt("make a masquerade rule", "the kernel needs CONFIG_NF_TABLES, CONFIG_NFT_NAT and CONFIG_NFT_MASQ", () => {
    using nft = Nft.open(ns);
    nft.apply(RULES);
  });
}

function attempt(what: string, advice: string, f: () => void): void {
  try {
    f();
  } catch (error) {
    throw new LabError(what, { reason: reasonOf(error), ...(isUnsupported(error) ? { advice } : {}), cause: error });
  }
}

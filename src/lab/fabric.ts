// The wires: a bridge that joins all nodes, and a cable between the gateway and the client outside.
import { familyOf, type IpAddress, ipToBytes, type MacAddress, macFromBytes } from "../formats/netip/index.ts";
import { newAddress, newLink, newRoute, type Request, setLink } from "../formats/netlink/index.ts";
import { Rtnl } from "../kernel/index.ts";
import { LabError } from "./errors.ts";
import type { LabNode } from "./node.ts";
import { FABRIC, fabricPort, type NodeInterface } from "./topology.ts";

const LO = 1;

/** A MAC that can be read: 02:00 and the address. */
function macOf(ip: IpAddress): MacAddress {
  return macFromBytes(Uint8Array.of(0x02, 0x00, ...ipToBytes(ip).slice(-4)));
}

/** Makes the bridge in this process's own namespace (the lab's), the cables, and each node's addresses and routes. */
export function buildFabric(nodes: readonly LabNode[]): void {
  using rtnl = Rtnl.open();
  rtnl.execute([
    setLink({ index: LO, isUp: true }),
    newLink({ name: FABRIC, kind: { kind: "bridge", multicastSnooping: false }, isUp: true }),
  ]);
  const bridge = linkIndex(rtnl, FABRIC);
  for (const { plan, anchor } of nodes)
    for (const { device, address, segment } of plan.interfaces)
      if (segment === "fabric")
        rtnl.execute(
          newLink({
            name: fabricPort(plan.name),
            master: bridge,
            isUp: true,
            kind: { kind: "veth", peer: { name: device, address: macOf(address.address), netnsFd: anchor.ns.fd } },
          }),
        );
  plugCable(nodes);
  for (const node of nodes) configure(node);
}

function plugCable(nodes: readonly LabNode[]): void {
  const ends = nodes.flatMap((node) =>
    node.plan.interfaces.filter(({ segment }) => segment === "outside").map((end) => ({ node, end })),
  );
  const [one, other] = ends;
  if (!one || !other) return;
  const peer = { name: other.end.device, address: macOf(other.end.address.address), netnsFd: other.node.anchor.ns.fd };
  using rtnl = Rtnl.open(one.node.anchor.ns);
  rtnl.execute(
    newLink({ name: one.end.device, address: macOf(one.end.address.address), kind: { kind: "veth", peer } }),
  );
}

function configure({ plan, anchor }: LabNode): void {
  using rtnl = Rtnl.open(anchor.ns);
  const bringUp = ({ device, address }: NodeInterface): Request[] => {
    const index = linkIndex(rtnl, device);
    return [setLink({ index, isUp: true }), newAddress({ index, prefix: address })];
  };
  const { defaultGateway } = plan;
  rtnl.execute([
    setLink({ index: LO, isUp: true }),
    ...plan.interfaces.flatMap(bringUp),
    ...(defaultGateway ? [newRoute({ family: familyOf(defaultGateway), gateway: defaultGateway })] : []),
  ]);
}

function linkIndex(rtnl: Rtnl, name: string): number {
  const link = rtnl.link(name);
  if (!link) throw new LabError("build the fabric", { reason: `the kernel made no ${name}` });
  return link.index;
}

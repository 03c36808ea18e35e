// The lab's fixed shape (docs/lab.md has the picture): who there is, with which devices and addresses.
import { addToIp, type IpAddress, type Prefix, parseIp, parsePrefix } from "../formats/netip/index.ts";

export type NodeRole = "gateway" | "node" | "store" | "client";

export interface NodeInterface {
  readonly device: string;
  /** Host bits set: the node's own address. */
  readonly address: Prefix;
  /** `fabric`: a port of the bridge that all nodes share. `outside`: the cable between client and gateway. */
  readonly segment: "fabric" | "outside";
}

export interface NodePlan {
  readonly name: string;
  readonly role: NodeRole;
  readonly interfaces: readonly NodeInterface[];
  readonly defaultGateway?: IpAddress;
}

export const FABRIC = "fabric";
export const NETWORK_CONFIG = '{"Network":"10.244.0.0/16","Backend":{"Type":"vxlan"}}';
export const SERVICE_CIDR: Prefix = parsePrefix("10.96.0.0/12");
export const STORE_PREFIX = "/coreos.com/network";
export const SERVICES_PREFIX = "/podpath/services";
export const STORE_PORT = 2379;
export const STORE_ADDRESS: IpAddress = parseIp("192.168.100.2");
/** The subnets of 10.244.0.0/16 would be enough for 254; a machine's patience is not. */
export const MAX_NODES = 100;

const GATEWAY_INSIDE = parseIp("192.168.100.1");
const GATEWAY_OUTSIDE = parseIp("203.0.113.1");
const FIRST_NODE = parseIp("192.168.100.11");

/** Where the fabric's bridge has the node's cable: `p-node1`. */
export function fabricPort(node: string): string {
  return `p-${node}`;
}

/** The gateway, `count` nodes, the store and the client outside. */
export function planNodes(count: number): NodePlan[] {
  const inside = (address: IpAddress): NodeInterface => ({
    device: "eth0",
    address: { address, length: 24 },
    segment: "fabric",
  });
  const outside = (device: string, text: string): NodeInterface => ({
    device,
    address: parsePrefix(text),
    segment: "outside",
  });
  return [
    { name: "gateway", role: "gateway", interfaces: [inside(GATEWAY_INSIDE), outside("eth1", "203.0.113.1/24")] },
    ...Array.from(
      { length: count },
      (_, i): NodePlan => ({
        name: `node${i + 1}`,
        role: "node",
        interfaces: [inside(addToIp(FIRST_NODE, i))],
        defaultGateway: GATEWAY_INSIDE,
      }),
    ),
    { name: "store", role: "store", interfaces: [inside(STORE_ADDRESS)], defaultGateway: GATEWAY_INSIDE },
    {
      name: "client",
      role: "client",
      interfaces: [outside("eth0", "203.0.113.10/24")],
      // So that the client can also try a ClusterIP: the gateway knows Services.
      defaultGateway: GATEWAY_OUTSIDE,
    },
  ];
}

/** Whether it runs `podpath agent`. */
export function hasAgent(plan: NodePlan): boolean {
  return plan.role === "node" || plan.role === "gateway";
}

/** The node's address on the fabric (the client's on its cable). */
export function primaryAddress(plan: NodePlan): IpAddress {
  const [first] = plan.interfaces;
  if (!first) throw new TypeError(`${plan.name} has no interface`);
  return first.address.address;
}

// A UDP flow keeps the endpoint that its first packet was given for as long as packets come, even when the endpoint is
// gone or when there was none then. TCP notices by itself; for UDP the connection has to be forgotten.
import type { IpAddress } from "../formats/netip/index.ts";
import type { ConntrackEntry } from "../formats/netlink/index.ts";
import { type Element, printKey } from "../formats/nftables/index.ts";
import type { GatewaySet, GatewayState } from "./plan.ts";

const IPPROTO_UDP = 17;
type Elements = ReadonlyMap<string, Element>;

/**
 * Says which flows are to be forgotten once `to` is in force: those to a ClusterIP's or NodePort's UDP port, of `to`
 * or of `from` before it, that are not answered by one of the port's endpoints in `to`. None when the UDP ports of
 * both are the same.
 */
export function staleUdpFlows(
  from: GatewayState | undefined,
  to: GatewayState,
  isLocal: (ip: IpAddress) => boolean,
): ((entry: ConntrackEntry) => boolean) | undefined {
  if (from && udpText(from) === udpText(to)) return undefined;
  const services = new PortEndpoints("service-endpoints", "no-endpoint-services", from, to);
  const nodePorts = new PortEndpoints("nodeport-endpoints", "no-endpoint-nodeports", from, to);
  return ({ original, reply }) => {
    if (original.protocol !== IPPROTO_UDP || original.destinationPort === undefined) return false;
    const answeredBy = `${reply.source} ${reply.sourcePort}`;
    const service = services.of(printKey([original.destination, "udp", original.destinationPort]));
    if (service) return !service.has(answeredBy);
    // Of a packet that is only passing through, the number is another host's business.
    if (!isLocal(original.destination)) return false;
    const nodePort = nodePorts.of(printKey(["udp", original.destinationPort]));
    return nodePort !== undefined && !nodePort.has(answeredBy);
  };
}

/** The endpoints of each UDP port, by the key that its map has. */
class PortEndpoints {
  readonly #byPort = new Map<string, Set<string>>();

  constructor(endpoints: GatewaySet, without: GatewaySet, from: GatewayState | undefined, to: GatewayState) {
    for (const state of from ? [from, to] : [to]) {
      for (const { key } of udp(state.elements[without], -2)) this.#port(printKey(key));
      for (const { key } of udp(state.elements[endpoints], -3)) this.#port(printKey(key.slice(0, -1)));
    }
    for (const { key, value } of udp(to.elements[endpoints], -3))
      if (Array.isArray(value)) this.#port(printKey(key.slice(0, -1))).add(value.join(" "));
  }

  of(port: string): ReadonlySet<string> | undefined {
    return this.#byPort.get(port);
  }

  #port(key: string): Set<string> {
    const known = this.#byPort.get(key) ?? new Set<string>();
    this.#byPort.set(key, known);
    return known;
  }
}

/** Elements whose protocol, `position` parts from the end of the key, is UDP. */
function udp(elements: Elements, position: number): Element[] {
  return [...elements.values()].filter(({ key }) => key.at(position) === "udp");
}

function udpText({ elements }: GatewayState): string {
  const parts = [
    ...udp(elements["service-endpoints"], -3),
    ...udp(elements["nodeport-endpoints"], -3),
    ...udp(elements["no-endpoint-services"], -2),
    ...udp(elements["no-endpoint-nodeports"], -2),
  ];
  return JSON.stringify(parts);
}

import { findLayer, TCP_FLAGS } from "../formats/packet/index.ts";
import { type Flow, flowOf, opensConnection, type Sighting } from "./sighting.ts";

/**
 * How the TCP connection of `request` came about, as seen where the request was sent: its SYN, the answer and the ACK,
 * in microseconds before the request.
 */
export function handshakeOf(request: Sighting, all: readonly Sighting[]): string {
  const flow = flowOf(request.inner);
  if (!flow) return "no TCP flow";
  const { netns, captured } = request;
  const here = all.filter(
    (one) =>
      one.netns === netns &&
      one.captured.device === captured.device &&
      one.captured.timestampNs <= captured.timestampNs,
  );
  const between = (from: Flow, want: number): Sighting[] =>
    here.filter(({ inner }) => {
      const flags = (findLayer(inner, "tcp")?.flags ?? 0) & (TCP_FLAGS.SYN | TCP_FLAGS.ACK);
      return flags === want && isSame(flowOf(inner), from);
    });
  const back = {
    source: flow.destination,
    destination: flow.source,
    sourcePort: flow.destinationPort,
    destinationPort: flow.sourcePort,
  };
  const syns = between(flow, TCP_FLAGS.SYN);
  const [answer] = between(back, TCP_FLAGS.SYN | TCP_FLAGS.ACK);
  const at = (one: Sighting): string =>
    `${(Number(one.captured.timestampNs - captured.timestampNs) / 1000).toFixed(1)} µs`;
  const [syn] = syns;
  if (!syn) return "TCP handshake: not seen, the connection was there before";
  if (!answer) return `TCP handshake: SYN ${at(syn)}, no SYN-ACK seen`;
  const [ack] = between(flow, TCP_FLAGS.ACK).filter((one) => one.captured.timestampNs >= answer.captured.timestampNs);
  // On lo every segment is seen twice, handed over and received.
  const sent = syns.filter((one) => one.captured.direction === syn.captured.direction).length;
  const again = sent > 1 ? ` (sent ${sent} times)` : "";
  return `TCP handshake: SYN ${at(syn)}${again}, SYN-ACK ${at(answer)}, ${ack ? `ACK ${at(ack)}` : "no ACK of its own"}`;
}

function isSame(a: Flow | undefined, b: Flow): boolean {
  return (
    a?.source === b.source &&
    a.destination === b.destination &&
    a.sourcePort === b.sourcePort &&
    a.destinationPort === b.destinationPort
  );
}

/**
 * A connection that did not come about, so that no request was ever sent: the sightings of its SYN, and of what answered
 * that, a SYN-ACK or a RST. By the port that was asked; behind a DNAT the segment is known by its sequence number.
 */
export function stillborn(all: readonly Sighting[], port: number): { request: Sighting[]; reply: Sighting[] } {
  const first = all
    .filter(({ inner }) => {
      const tcp = findLayer(inner, "tcp");
      return opensConnection(tcp) && tcp.destinationPort === port;
    })
    .toSorted((a, b) => Number(a.captured.timestampNs - b.captured.timestampNs))[0];
  const sequence = first && findLayer(first.inner, "tcp")?.sequence;
  if (sequence === undefined) return { request: [], reply: [] };
  const { SYN, RST, ACK } = TCP_FLAGS;
  return {
    request: all.filter(({ inner }) => {
      const tcp = findLayer(inner, "tcp");
      return opensConnection(tcp) && tcp.sequence === sequence;
    }),
    reply: all.filter(({ inner }) => {
      const tcp = findLayer(inner, "tcp");
      if (!tcp || (tcp.flags & ACK) === 0 || (tcp.flags & (SYN | RST)) === 0) return false;
      return tcp.acknowledgement === (sequence + 1) >>> 0;
    }),
  };
}

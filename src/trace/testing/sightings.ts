// Sightings without a kernel: packets by our own encoders, devices and times as a test wants them.
import { type Ipv4Address, parseMac } from "../../formats/netip/index.ts";
import {
  ETH_P_IP,
  encodeEthernet,
  encodeIcmp,
  encodeIpv4,
  encodeTcp,
  encodeUdp,
  encodeVxlan,
  IPPROTO_ICMP,
  IPPROTO_TCP,
  IPPROTO_UDP,
} from "../../formats/packet/index.ts";
import { type Sighting, sight } from "../sighting.ts";
import type { Topology } from "../topology.ts";

export interface PacketRecipe {
  readonly protocol?: "udp" | "tcp" | "icmp";
  readonly source?: string;
  readonly destination?: string;
  readonly sourcePort?: number;
  readonly destinationPort?: number;
  readonly ttl?: number;
  readonly id?: number;
  readonly text?: string;
  readonly sequence?: number;
  readonly acknowledgement?: number;
  readonly flags?: number;
  readonly icmpType?: number;
  readonly mac?: number;
  /** Node numbers: wrapped from 192.168.100.1<a> to 192.168.100.1<b>. */
  readonly carrier?: readonly [number, number];
}

export function frameOf(recipe: PacketRecipe): Uint8Array {
  const { carrier, ...inner } = recipe;
  const frame = encodeFrame(inner);
  if (!carrier) return frame;
  const payload = encodeVxlan({ flags: 8, vni: 1, payload: frame });
  const [source, destination] = carrier.map((node) => `192.168.100.1${node}`);
  return encodeFrame({ source: source ?? "", destination: destination ?? "", destinationPort: 8472, payload });
}

function encodeFrame(recipe: PacketRecipe & { payload?: Uint8Array }): Uint8Array {
  const { protocol = "udp", source = "10.244.1.2", destination = "10.244.2.2", ttl = 64, id = 1, mac = 1 } = recipe;
  const { sourcePort = 40000, destinationPort = 8080, text = "podpath-ping 1", sequence = 100 } = recipe;
  const payload = recipe.payload ?? new TextEncoder().encode(text);
  const ends = { source: source as Ipv4Address, destination: destination as Ipv4Address };
  const ports = { sourcePort, destinationPort };
  const tcp = { ...ports, sequence, acknowledgement: recipe.acknowledgement ?? 0, flags: recipe.flags ?? 0x18 };
  const transports = {
    udp: () => encodeUdp({ ...ports, payload }, ends),
    tcp: () => encodeTcp({ ...tcp, window: 1, urgent: 0, options: new Uint8Array(), payload }, ends),
    icmp: () => encodeIcmp({ type: recipe.icmpType ?? 8, code: 0, rest: (7 << 16) | sequence, payload }),
  };
  const fragment = { reserved: false, dontFragment: true, moreFragments: false, fragmentOffset: 0 };
  return encodeEthernet({
    destination: parseMac(`0a:58:0a:f4:02:0${mac}`),
    source: parseMac(`0a:58:0a:f4:01:0${mac}`),
    etherType: ETH_P_IP,
    payload: encodeIpv4({
      ...{ ...ends, ...fragment, tos: 0, identification: id, ttl, options: new Uint8Array() },
      protocol: { udp: IPPROTO_UDP, tcp: IPPROTO_TCP, icmp: IPPROTO_ICMP }[protocol],
      payload: transports[protocol](),
    }),
  });
}

/** `place` is `netns/device tx`. */
export function sighting(place: string, timeNs: number, recipe: PacketRecipe = {}, packetType = 0): Sighting {
  const [, netns = "", device = "", direction = ""] = /^(\S+)\/(\S+) (tx|rx)$/.exec(place) ?? [];
  const frame = frameOf(recipe);
  return sight(netns.startsWith("pod") ? "node1" : netns, netns, {
    ...{ ifindex: 2, device, frame, originalLength: frame.length, packetType, hardwareType: 1 },
    direction: direction === "tx" ? "tx" : "rx",
    timestampNs: 1_795_000_000_000_000_000n + BigInt(timeNs),
  });
}

export function placeOf({ netns, captured: { device, direction } }: Sighting): string {
  return `${netns}/${device} ${direction}`;
}

/** `wires`: pairs of `netns/device`; `ports`: the devices that are in a bridge. */
export function topology(wires: readonly (readonly [string, string])[] = [], ports: readonly string[] = []): Topology {
  const ends = new Map(wires.flatMap(([a, b]) => [[a, b] as const, [b, a] as const]));
  return {
    peerOf: (namespace, device) => {
      const [, other, end] = /^(.*)\/(.*)$/.exec(ends.get(`${namespace}/${device}`) ?? "") ?? [];
      return other === undefined || end === undefined ? undefined : { namespace: other, device: end };
    },
    isBridgePort: (namespace, device) => ports.includes(`${namespace}/${device}`),
  };
}

/**
 * Packets as bytes and as objects: Ethernet to VXLAN, checksums, `dissect`, tcpdump-like lines, pcapng.
 *
 * Pure: knows addresses (`netip`) and nothing of sockets, namespaces or the lab. `decodeX` throws a DecodeError and is
 * the inverse of `encodeX`; `dissect` takes whatever a capture holds and never throws.
 * RFC 826, 791, 8200, 792, 4443, 768, 9293, 1071, 7348; IEEE 802.3 and 802.1Q; the pcapng draft (opsawg).
 */
export * from "./arp.ts";
export * from "./checksum.ts";
export * from "./coalescing.ts";
export * from "./dissect.ts";
export * from "./errors.ts";
export * from "./ethernet.ts";
export * from "./forwarding.ts";
export * from "./icmp.ts";
export * from "./icmpv6.ts";
export * from "./ipv4.ts";
export * from "./ipv6.ts";
export * from "./layer.ts";
export * from "./packet-memory.ts";
export * from "./pcapng.ts";
export * from "./segmentation.ts";
export * from "./summarise.ts";
export * from "./tcp.ts";
export * from "./udp.ts";
export * from "./virtio-net.ts";
export * from "./vxlan.ts";

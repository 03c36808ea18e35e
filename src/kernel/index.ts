/**
 * The only door to Linux: system calls, network namespaces, rtnetlink, nft, sysctl, packet capture, tracepoints.
 *
 * Knows no lease, no plugin and no lab. Only sys.ts knows the FFI library. Everything but `executeAsync` and the
 * watches is synchronous: the kernel does netlink work inside send(), so there is nothing to wait for. What was found to
 * go wrong at this border, and which test holds it, is in docs/adr/0001-koffi.md.
 */
export { hasCapability } from "./capability.ts";
export * from "./capture.ts";
export * from "./clock.ts";
export * from "./conntrack.ts";
export * from "./datagram-batch.ts";
export * from "./datagram-socket.ts";
export * from "./directory.ts";
export * from "./echo.ts";
export * from "./errors.ts";
export * from "./ffi-file.ts";
export * from "./flock.ts";
export * from "./io-vectors.ts";
export * from "./iptables.ts";
export * from "./mount.ts";
export * from "./namespaces.ts";
export type { NetlinkTransport } from "./netlink.ts";
export * from "./netns.ts";
export * from "./nft.ts";
export type { NftOptions } from "./nft-engine.ts";
export { NftError } from "./nft-error.ts";
export { type NftWatchScope, watchNfTables } from "./nft-watch.ts";
export * from "./poll.ts";
export * from "./process.ts";
export * from "./program.ts";
export * from "./rtnl.ts";
export * from "./sd-notify.ts";
export { errnoCode, type MappedMemory, mapMemory } from "./sys.ts";
export * from "./sysctl.ts";
export * from "./tracefs.ts";
export * from "./tun.ts";
export * from "./unix-stream.ts";
export * from "./watch.ts";
export * from "./wireguard.ts";

import { type Ipv4Address, ipToBytes } from "../formats/netip/index.ts";
import { inNs, type NetNs } from "./netns.ts";
import { bind, check, close, getsockopt, setsockopt, socket } from "./sys.ts";

const AF_INET = 2;
const SOCK_DGRAM_NONBLOCK_CLOEXEC = 2 | 0o2004000;
const SOL_SOCKET = 1;
const [SO_SNDBUF, SO_RCVBUF, SO_SNDBUFFORCE, SO_RCVBUFFORCE, SO_MEMINFO] = [7, 8, 32, 33, 55];
const SK_MEMINFO_DROPS = 8;
const SOL_UDP = 17;
const UDP_GRO = 104;

export interface DatagramSocketOptions {
  readonly address: Ipv4Address;
  readonly port: number;
  readonly bufferBytes: number;
  readonly ns?: NetNs;
}

/** A UDP socket over IPv4 that may be given many datagrams at once (UDP_GRO), as their sender sent them (UDP_SEGMENT). */
export class DatagramSocket implements Disposable {
  readonly fd: number;

  private constructor(fd: number) {
    this.fd = fd;
  }

  /** @throws {SyscallError} EADDRINUSE, EADDRNOTAVAIL */
  static open({ address, port, bufferBytes, ns }: DatagramSocketOptions): DatagramSocket {
    const make = (): number => socket(AF_INET, SOCK_DGRAM_NONBLOCK_CLOEXEC, 0);
    const fd = check(ns ? inNs(ns, make) : make(), "open a UDP socket");
    try {
      // FORCE passes net.core.*mem_max and needs CAP_NET_ADMIN in the first user namespace; rootless gets what it may have.
      for (const [force, polite] of [
        [SO_RCVBUFFORCE, SO_RCVBUF],
        [SO_SNDBUFFORCE, SO_SNDBUF],
      ] as const)
        if (setsockopt(fd, SOL_SOCKET, force, u32(bufferBytes), 4) < 0)
          check(setsockopt(fd, SOL_SOCKET, polite, u32(bufferBytes), 4), "size the buffers of a UDP socket");
      // Without it (before Linux 5.0) they come one by one.
      setsockopt(fd, SOL_UDP, UDP_GRO, u32(1), 4);
      const where = new Uint8Array(16);
      new DataView(where.buffer).setUint16(0, AF_INET, true);
      new DataView(where.buffer).setUint16(2, port);
      where.set(ipToBytes(address), 4);
      check(bind(fd, where, where.length), "listen on UDP", `${address}:${port}`);
      return new DatagramSocket(fd);
    } catch (error) {
      close(fd);
      throw error;
    }
  }

  /** Datagrams for which the receive buffer had no room since the socket was opened. */
  drops(): number {
    const info = new Uint8Array(36);
    if (getsockopt(this.fd, SOL_SOCKET, SO_MEMINFO, info, Uint8Array.of(36, 0, 0, 0)) < 0) return 0;
    return new DataView(info.buffer).getUint32(4 * SK_MEMINFO_DROPS, true);
  }

  [Symbol.dispose](): void {
    close(this.fd);
  }
}

function u32(n: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, n, true);
  return bytes;
}

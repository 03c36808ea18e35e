import { type IpAddress, ipToBytes, isIpv4 } from "../formats/netip/index.ts";
import {
  decodeIcmp,
  encodeIcmp,
  ICMP_ECHO,
  ICMP_ECHOREPLY,
  ICMPV6_ECHO_REPLY,
  ICMPV6_ECHO_REQUEST,
} from "../formats/packet/index.ts";
import { check, close, connect, recv, send, socket, watch } from "./sys.ts";

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_RAW_CLOEXEC = 3 | 0x80000;
const IPPROTO_ICMP = 1;
const IPPROTO_ICMPV6 = 58;

export interface EchoReply {
  readonly identifier: number;
  readonly sequence: number;
  readonly payload: Uint8Array;
}

/** ICMP echo to one address (RFC 792, RFC 4443), from the namespace it is opened in: what `ping` does. Needs CAP_NET_RAW. */
export class EchoSocket implements Disposable {
  readonly #fd: number;
  readonly #is4: boolean;
  #watch: Disposable | undefined;

  private constructor(fd: number, is4: boolean) {
    this.#fd = fd;
    this.#is4 = is4;
  }

  static open(to: IpAddress, onReply: (reply: EchoReply) => void): EchoSocket {
    const is4 = isIpv4(to);
    const fd = check(
      socket(is4 ? AF_INET : AF_INET6, SOCK_RAW_CLOEXEC, is4 ? IPPROTO_ICMP : IPPROTO_ICMPV6),
      "open a raw socket for ICMP",
    );
    const echo = new EchoSocket(fd, is4);
    try {
      // Connected, the kernel gives us only what comes from there.
      const address = socketAddress(to);
      check(connect(fd, address, address.length), "ping", to);
      echo.#watch = watch(fd, () => echo.#drain(onReply));
      return echo;
    } catch (error) {
      echo[Symbol.dispose]();
      throw error;
    }
  }

  send({ identifier, sequence, payload }: EchoReply): void {
    const type = this.#is4 ? ICMP_ECHO : ICMPV6_ECHO_REQUEST;
    // The kernel computes ICMPv6's checksum, which needs the source address.
    const bytes = encodeIcmp({ type, code: 0, rest: ((identifier << 16) | sequence) >>> 0, payload });
    check(send(this.#fd, bytes, bytes.length, 0), "send an ICMP echo request");
  }

  #drain(onReply: (reply: EchoReply) => void): void {
    const buffer = new Uint8Array(65536);
    for (;;) {
      const length = recv(this.#fd, buffer, buffer.length, 0);
      if (length < 0) return;
      // A raw IPv4 socket gives the IP header too, a raw IPv6 socket does not.
      const header = this.#is4 ? ((buffer[0] ?? 0) & 0xf) * 4 : 0;
      if (length < header + 8) continue;
      const { type, rest, payload } = decodeIcmp(buffer.slice(header, length));
      if (type === (this.#is4 ? ICMP_ECHOREPLY : ICMPV6_ECHO_REPLY))
        onReply({ identifier: rest >>> 16, sequence: rest & 0xffff, payload });
    }
  }

  [Symbol.dispose](): void {
    this.#watch?.[Symbol.dispose]();
    close(this.#fd);
  }
}

/** struct sockaddr_in or sockaddr_in6, port 0. */
function socketAddress(ip: IpAddress): Uint8Array {
  const bytes = new Uint8Array(isIpv4(ip) ? 16 : 28);
  bytes[0] = isIpv4(ip) ? AF_INET : AF_INET6;
  bytes.set(ipToBytes(ip), isIpv4(ip) ? 4 : 8);
  return bytes;
}

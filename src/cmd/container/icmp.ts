// ICMP echo as a way to send messages and hear answers.
import { parseIp } from "../../formats/netip/index.ts";
import type { Channel, ChannelOptions } from "./sockets.ts";

export async function icmpChannel({ host, onMessage }: ChannelOptions): Promise<Channel> {
  // Only now: the FFI library takes longer to load than the rest of this program.
  const { EchoSocket } = await import("../../kernel/index.ts");
  const identifier = process.pid & 0xffff;
  const echo = EchoSocket.open(parseIp(host), (reply) => {
    // An echo reply carries the request's bytes: its payload is the ping itself.
    if (reply.identifier === identifier) onMessage(new TextDecoder().decode(reply.payload));
  });
  let sequence = 0;
  return {
    local: `identifier ${identifier}`,
    send: (message) => {
      sequence = (sequence + 1) & 0xffff;
      echo.send({ identifier, sequence, payload: new TextEncoder().encode(message) });
    },
    close: () => echo[Symbol.dispose](),
  };
}

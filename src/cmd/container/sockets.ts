// TCP and UDP as a way to send messages and hear answers.
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect, isIPv6 } from "node:net";

export interface ChannelOptions {
  readonly host: string;
  readonly port: number;
  readonly timeoutMs: number;
  readonly onMessage: (message: string) => void;
  /** A connection has ended, by whomever. */
  readonly onClose?: () => void;
}

export interface Channel {
  /** Our own address: `10.244.1.2 port 40322`. */
  readonly local: string;
  send(message: string): void;
  close(): void;
}

export async function tcpChannel({ host, port, timeoutMs, onMessage, onClose }: ChannelOptions): Promise<Channel> {
  const socket = connect({ host, port, noDelay: true });
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    await once(socket, "connect", { signal });
  } catch (error) {
    socket.destroy();
    throw signal.aborted ? new Error(`Cannot connect to ${host} port ${port}: no answer in ${timeoutMs} ms`) : error;
  }
  let rest = "";
  socket.setEncoding("utf8").on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) onMessage(line);
  });
  // A reset is what the missing answers tell of.
  socket.on("error", () => socket.destroy());
  socket.on("close", () => onClose?.());
  return {
    local: `${socket.localAddress} port ${socket.localPort}`,
    send: (message) => void socket.write(message),
    close: () => socket.end(),
  };
}

export async function udpChannel({ host, port, onMessage }: ChannelOptions): Promise<Channel> {
  const socket = createSocket(isIPv6(host) ? "udp6" : "udp4");
  socket.on("message", (message) => onMessage(message.toString()));
  // Connected: then the kernel chooses our address, and tells us of refusals, which are answers that do not come.
  socket.connect(port, host);
  await once(socket, "connect");
  socket.on("error", () => {});
  const { address, port: localPort } = socket.address();
  return {
    local: `${address} port ${localPort}`,
    send: (message) => socket.send(message, () => {}),
    close: () => socket.close(),
  };
}

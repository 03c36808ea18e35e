// Answers each ping on TCP and UDP, on all addresses, and nothing else.
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { once } from "node:events";
import { closeSync, writeSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { PING, pongTo } from "./message.ts";

/** A connection that sends this much without a newline is not talking to us. */
const MAX_LINE = 65536;

export async function serve(ports: readonly number[]): Promise<void> {
  if (ports.length === 0 || !ports.every((port) => Number.isInteger(port) && port > 0 && port < 65536))
    throw new Error(`Cannot serve ${PING}: want ports, 1 to 65535, not ${ports.join(" ") || "none"}`);
  await Promise.all(ports.flatMap((port) => [serveTcp(port), serveUdp(port)]));
  sayListening();
}

async function serveTcp(port: number): Promise<Server> {
  const server = createServer((socket) => {
    let rest = "";
    socket.setNoDelay(true).setEncoding("utf8");
    socket.on("error", () => socket.destroy());
    socket.on("data", (text: string) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      if (rest.length > MAX_LINE) socket.destroy();
      const answers = lines.map((line) => pongTo(`${line}\n`)).filter((answer) => answer !== undefined);
      if (answers.length > 0) socket.write(answers.join(""));
    });
  });
  // "::" takes IPv4 too; where IPv6 is off Node itself falls back to 0.0.0.0.
  server.listen(port);
  await once(server, "listening");
  return server;
}

async function serveUdp(port: number): Promise<UdpSocket[]> {
  const bound = await Promise.all([bindUdp("udp4", port), bindUdp("udp6", port).catch(() => undefined)]);
  return bound.filter((socket) => socket !== undefined);
}

async function bindUdp(type: "udp4" | "udp6", port: number): Promise<UdpSocket> {
  const socket = createSocket({ type, ipv6Only: type === "udp6" });
  socket.on("message", (message, from) => {
    const answer = pongTo(message.toString());
    if (answer !== undefined) socket.send(answer, from.port, from.address);
  });
  const listening = once(socket, "listening");
  socket.bind(port);
  await listening;
  // A client's ICMP errors are not ours to die of.
  socket.on("error", () => {});
  return socket;
}

/** The runtime waits for a word on descriptor 3, if it gave us one. */
function sayListening(): void {
  console.log("listening");
  try {
    writeSync(3, "listening\n");
    closeSync(3);
  } catch {
    // Started by hand.
  }
}

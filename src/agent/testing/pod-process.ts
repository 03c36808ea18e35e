// The process in a test's pod: answers with what it gets over TCP and UDP, and asks others when it is told to.
import { createSocket } from "node:dgram";
import { connect, createServer } from "node:net";

export interface Ask {
  readonly id: number;
  readonly protocol: "tcp" | "udp";
  readonly host: string;
  readonly bytes: number;
}

/** The answer to an Ask; without `error` every byte came back. */
export interface Told {
  readonly id: number;
  readonly error?: string | undefined;
}

const PORT = 9100;
const PATIENCE_MS = 10_000;

createServer((socket) => socket.on("error", () => {}).pipe(socket)).listen(PORT, "::", () => {
  const udp = createSocket("udp6");
  udp.on("message", (data, { port, address }) => udp.send(data, port, address));
  udp.bind(PORT, "::", () => process.send?.({ id: 0 }));
});

// The servers would keep it alive when the test is gone.
process.on("disconnect", () => process.exit());
process.on("message", (ask: Ask) => {
  const expected = Buffer.alloc(ask.bytes, `${ask.id} to ${ask.host} `);
  (ask.protocol === "tcp" ? askTcp : askUdp)(ask.host, expected, (error) => process.send?.({ id: ask.id, error }));
});

function askTcp(host: string, expected: Buffer, done: (error?: string) => void): void {
  const socket = connect({ host, port: PORT });
  const parts: Buffer[] = [];
  socket.setTimeout(PATIENCE_MS, () => socket.destroy(new Error("timed out")));
  socket.once("error", ({ message }) => done(message));
  socket.on("data", (part) => parts.push(part));
  socket.once("end", () => done(Buffer.concat(parts).equals(expected) ? undefined : "what came back is not what went"));
  socket.end(expected);
}

function askUdp(host: string, expected: Buffer, done: (error?: string) => void): void {
  const socket = createSocket(host.includes(":") ? "udp6" : "udp4");
  const end = (error?: string): void => {
    clearTimeout(timer);
    socket.close();
    done(error);
  };
  const timer = setTimeout(() => end("timed out"), PATIENCE_MS);
  socket.once("error", ({ message }) => end(message));
  socket.once("message", (data) => end(data.equals(expected) ? undefined : "what came back is not what went"));
  socket.send(expected, PORT, host);
}

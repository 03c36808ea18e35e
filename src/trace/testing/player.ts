// A process in one of the test cluster's namespaces: answers podpath-ping over TCP and UDP, and asks when it is told to.
import { createSocket } from "node:dgram";
import { connect, createServer } from "node:net";

export interface Ask {
  readonly protocol: "tcp" | "udp";
  readonly host: string;
  readonly port: number;
  readonly text: string;
  readonly timeoutMs: number;
}

const answer = (text: string): string => text.replace("podpath-ping", "podpath-pong");

createServer((socket) => {
  socket.on("data", (data) => socket.write(answer(data.toString())));
  socket.on("error", () => {});
}).listen(8080, "0.0.0.0", () => {
  const udp = createSocket("udp4");
  udp.on("message", (data, { port, address }) => udp.send(answer(data.toString()), port, address));
  udp.bind(8080, "0.0.0.0", () => process.send?.("ready"));
});

// The servers would keep it alive when the test is gone.
process.on("disconnect", () => process.exit());
process.on("message", (message: Ask) => {
  const done = (error?: string): void => void process.send?.({ error });
  if (message.protocol === "tcp") askTcp(message, done);
  else askUdp(message, done);
});

function askTcp({ host, port, text, timeoutMs }: Ask, done: (error?: string) => void): void {
  const socket = connect({ host, port });
  const end = (error?: string): void => {
    clearTimeout(timer);
    socket.destroy();
    done(error);
  };
  const timer = setTimeout(() => end("timed out"), timeoutMs);
  socket.once("error", (error) => end(error.message));
  socket.once("data", () => end());
  socket.once("connect", () => socket.write(text));
}

function askUdp({ host, port, text, timeoutMs }: Ask, done: (error?: string) => void): void {
  const socket = createSocket("udp4");
  const end = (error?: string): void => {
    clearTimeout(timer);
    socket.close();
    done(error);
  };
  const timer = setTimeout(() => end("timed out"), timeoutMs);
  socket.once("error", (error) => end(error.message));
  socket.once("message", () => end());
  socket.send(text, port, host);
}

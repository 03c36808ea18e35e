// One process in one network namespace, told by IPC what to do: it serves, or it asks a server. A server answers with
// its own name and the address it was asked from.
import { createSocket } from "node:dgram";
import { connect, createServer } from "node:net";

export type PeerRequest =
  | { readonly op: "serve"; readonly name: string; readonly port: number }
  | { readonly op: "tcp"; readonly host: string; readonly port: number }
  | { readonly op: "udp"; readonly host: string; readonly port: number; readonly sourcePort?: number };

/** `answer` is `<server> <address it saw>`; `error` an errno's name. */
export interface PeerAnswer {
  readonly answer?: string;
  readonly error?: string;
}

/** A datagram can be lost; an answer to any of them counts. */
const RESEND_MS = 300;

function serve(name: string, port: number): Promise<PeerAnswer> {
  const tcp = createServer((connection) => connection.end(`${name} ${connection.remoteAddress}`));
  const udp = createSocket("udp4", (_message, from) => udp.send(`${name} ${from.address}`, from.port, from.address));
  return new Promise((resolve) => {
    tcp.listen(port, "0.0.0.0", () => udp.bind(port, "0.0.0.0", () => resolve({ answer: "serving" })));
  });
}

function askTcp(host: string, port: number): Promise<PeerAnswer> {
  return new Promise((resolve) => {
    let text = "";
    const connection = connect({ host, port });
    connection.setEncoding("utf8");
    connection.on("data", (data) => {
      text += data;
    });
    connection.on("close", () => resolve({ answer: text }));
    connection.on("error", (error: NodeJS.ErrnoException) => resolve({ error: error.code ?? error.message }));
  });
}

function askUdp(host: string, port: number, sourcePort = 0): Promise<PeerAnswer> {
  return new Promise((resolve) => {
    const socket = createSocket("udp4");
    const done = (answer: PeerAnswer): void => {
      clearInterval(timer);
      socket.close(() => resolve(answer));
    };
    const send = (): void => socket.send("?");
    const timer = setInterval(send, RESEND_MS);
    socket.once("message", (message) => done({ answer: message.toString() }));
    socket.once("error", (error: NodeJS.ErrnoException) => done({ error: error.code ?? error.message }));
    // Connected, so that the socket hears of a refusal.
    socket.bind(sourcePort, () => socket.connect(port, host, send));
  });
}

async function answer(request: PeerRequest): Promise<PeerAnswer> {
  switch (request.op) {
    case "serve":
      return serve(request.name, request.port);
    case "tcp":
      return askTcp(request.host, request.port);
    case "udp":
      return askUdp(request.host, request.port, request.sourcePort);
  }
}

process.on("message", ({ id, request }: { id: number; request: PeerRequest }) => {
  void answer(request).then((result) => process.send?.({ id, result }));
});
process.on("disconnect", () => process.exit());

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

async function serve(name: string, port: number): Promise<PeerAnswer> {
  const tcp = createServer((connection) => connection.end(`${name} ${plain(connection.remoteAddress)}`));
  await new Promise<void>((resolve) => tcp.listen(port, "::", resolve));
  // A socket a family: the answer of one for both could leave from another address than it was asked at.
  for (const [type, address] of [
    ["udp4", "0.0.0.0"],
    ["udp6", "::"],
  ] as const) {
    const udp = createSocket({ type, ipv6Only: type === "udp6" }, (_message, from) =>
      udp.send(`${name} ${from.address}`, from.port, from.address),
    );
    await new Promise<void>((resolve) => udp.bind(port, address, resolve));
  }
  return { answer: "serving" };
}

/** An IPv4 client of a socket for both families has an address such as ::ffff:10.0.0.1. */
function plain(address = ""): string {
  return address.replace(/^::ffff:/, "");
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
    const socket = createSocket(host.includes(":") ? "udp6" : "udp4");
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

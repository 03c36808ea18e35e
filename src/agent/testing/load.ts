import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { inNs, type NetNs } from "../../kernel/index.ts";

const HASHING_SERVER = `
const hash = require("node:crypto").createHash("sha256");
require("node:net").createServer((socket) => {
  socket.on("data", (data) => hash.update(data));
  socket.on("end", () => { console.log(hash.digest("hex")); process.exit(); });
}).listen(9001, process.argv[1], () => console.log("listening"));`;
// Each block differs from the others, so that one in the wrong place would be seen.
const HASHING_CLIENT = `
const crypto = require("node:crypto");
const hash = crypto.createHash("sha256");
const block = crypto.randomBytes(1 << 20);
const socket = require("node:net").connect(9001, process.argv[1]);
(async () => {
  for (let i = 0; i < Number(process.argv[2]) >> 20; i++) {
    const own = Buffer.from(block);
    own.writeUInt32LE(i, i % 1000);
    hash.update(own);
    if (!socket.write(own)) await require("node:events").once(socket, "drain");
  }
  socket.end();
  console.log(hash.digest("hex"));
})();`;

const COUNTING_SERVER = `
const socket = require("node:dgram").createSocket({ type: "udp4", recvBufferSize: 1 << 22 });
const flows = new Map();
socket.on("message", (data, { port }) => {
  const flow = flows.get(port) ?? { received: 0, reordered: 0, damaged: 0, last: -1 };
  flows.set(port, flow);
  const number = data.readUInt32LE(0);
  flow.received++;
  if (number <= flow.last) flow.reordered++;
  if (data.length !== 4 + number % 900 || data.subarray(4).some((byte) => byte !== (number & 255))) flow.damaged++;
  flow.last = number;
});
socket.bind(9002, process.argv[1], () => console.log("listening"));
process.on("SIGTERM", () => { console.log(JSON.stringify([...flows.values()])); process.exit(); });`;
const COUNTING_CLIENT = `
const socket = require("node:dgram").createSocket("udp4");
let sent = 0;
const burst = (from) => {
  const to = Math.min(from + 200, Number(process.argv[2]));
  let waiting = to - from;
  for (let i = from; i < to; i++) {
    const data = Buffer.alloc(4 + i % 900, i & 255);
    data.writeUInt32LE(i, 0);
    socket.send(data, 9002, process.argv[1], (error) => {
      if (!error) sent++;
      if (--waiting === 0) { if (to < Number(process.argv[2])) setImmediate(burst, to); else { console.log(sent); socket.close(); } }
    });
  }
};
burst(0);`;

function start(ns: NetNs, program: string, ...args: string[]): ChildProcess {
  return inNs(ns, () => spawn(process.execPath, ["-e", program, ...args], { stdio: ["ignore", "pipe", "inherit"] }));
}

/** A server that has said "listening"; its next line. */
async function serve(
  ns: NetNs,
  program: string,
  address: string,
): Promise<{ child: ChildProcess; line: Promise<string> }> {
  const child = start(ns, program, address);
  assert.ok(child.stdout);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  assert.equal((await lines.next()).value, "listening");
  return { child, line: lines.next().then(({ value }) => value) };
}

/** Sends so many bytes by one TCP connection. @returns their SHA-256 at both ends */
export async function hashThrough(
  from: NetNs,
  to: NetNs,
  address: string,
  bytes: number,
): Promise<{ readonly sent: string; readonly received: string }> {
  const server = await serve(to, HASHING_SERVER, address);
  const client = start(from, HASHING_CLIENT, address, String(bytes));
  assert.ok(client.stdout);
  const sent = (await text(client.stdout)).trim();
  return { sent, received: await server.line };
}

export interface CountedFlow {
  readonly received: number;
  readonly reordered: number;
  readonly damaged: number;
}

/**
 * Sends numbered datagrams of 4 to 903 bytes by several sockets at the same time, as fast as they go.
 * @returns how many were sent in all, and what of each flow arrived by the time that `isQuiet` is fulfilled
 */
export async function numberedDatagrams(
  from: NetNs,
  to: NetNs,
  address: string,
  { flows, each }: { readonly flows: number; readonly each: number },
  isQuiet: () => Promise<unknown>,
): Promise<{ readonly sent: number; readonly flows: readonly CountedFlow[] }> {
  const server = await serve(to, COUNTING_SERVER, address);
  const clients = Array.from({ length: flows }, () => start(from, COUNTING_CLIENT, address, String(each)));
  const counts = await Promise.all(clients.map(({ stdout }) => (stdout ? text(stdout) : "0")));
  await isQuiet();
  server.child.kill("SIGTERM");
  const received = JSON.parse(await server.line);
  await once(server.child, "exit");
  return { sent: counts.reduce((sum, count) => sum + Number(count), 0), flows: received };
}

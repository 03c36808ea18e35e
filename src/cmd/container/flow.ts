// Many flows at once, for as long as it lives: each sends a ping every so often and tells of those that no answer came to.
// Times are CLOCK_MONOTONIC's, which is one for all processes of a machine.
import { createInterface } from "node:readline";
import { icmpChannel } from "./icmp.ts";
import { messageId, pingMessage } from "./message.ts";
import type { ProbeProtocol } from "./probe.ts";
import { type Channel, tcpChannel, udpChannel } from "./sockets.ts";

export interface FlowSpec {
  readonly protocol: ProbeProtocol;
  readonly host: string;
  readonly port: number;
}

/** JSON lines on stdout; the indexes are those of the flows. */
export type FlowMessage =
  | { readonly type: "answered"; readonly flow: number }
  | { readonly type: "lost"; readonly flow: number; readonly sentMs: number; readonly waitingSinceMs: number }
  | { readonly type: "count"; readonly sent: number; readonly received: number };

const BYTES = 64;
const RECONNECT_MS = 100;
/** TCP sends again, ever more seldom; then a connection counts as dead. */
const GIVE_UP_MS = { tcp: 20_000, udp: 3000, icmp: 3000 } as const;

function nowMs(): number {
  return Number(process.hrtime.bigint() / 1000n) / 1000;
}

class Flow {
  readonly #spec: FlowSpec;
  readonly #index: number;
  readonly #say: (message: FlowMessage) => void;
  /** Pings without an answer, oldest first: when each was sent, and since when the oldest before it waited. */
  readonly #waiting = new Map<number, { sentMs: number; waitingSinceMs: number }>();
  #channel: Channel | undefined;
  #sequence = 0;
  #hasAnswered = false;
  sent = 0;
  received = 0;

  constructor(spec: FlowSpec, index: number, say: (message: FlowMessage) => void) {
    this.#spec = spec;
    this.#index = index;
    this.#say = say;
    void this.#open();
  }

  async #open(): Promise<void> {
    const { protocol, host, port } = this.#spec;
    const open = { tcp: tcpChannel, udp: udpChannel, icmp: icmpChannel }[protocol];
    try {
      this.#channel = await open({
        host,
        port,
        timeoutMs: 2000,
        onMessage: (message) => this.#answered(Number(messageId(message)?.split("-").at(-1))),
        onClose: () => this.#closed(),
      });
    } catch {
      setTimeout(() => void this.#open(), RECONNECT_MS);
    }
  }

  /** A connection that breaks takes along what is under way. */
  #closed(): void {
    this.#channel = undefined;
    for (const ping of this.#waiting.values()) this.#say({ type: "lost", flow: this.#index, ...ping });
    this.#waiting.clear();
    setTimeout(() => void this.#open(), RECONNECT_MS);
  }

  #answered(sequence: number): void {
    if (!this.#waiting.delete(sequence)) return;
    this.received++;
    if (!this.#hasAnswered) this.#say({ type: "answered", flow: this.#index });
    this.#hasAnswered = true;
  }

  tick(isSending: boolean): void {
    const now = nowMs();
    for (const [sequence, ping] of this.#waiting) {
      if (now - ping.sentMs < GIVE_UP_MS[this.#spec.protocol]) break;
      this.#waiting.delete(sequence);
      this.#say({ type: "lost", flow: this.#index, ...ping });
    }
    if (!this.#channel || !isSending) return;
    const sequence = this.#sequence++;
    const oldest = this.#spec.protocol === "tcp" ? this.#waiting.values().next().value : undefined;
    this.#waiting.set(sequence, { sentMs: now, waitingSinceMs: oldest?.sentMs ?? now });
    this.sent++;
    try {
      this.#channel.send(pingMessage(`${process.pid}-${this.#index}-${sequence}`, BYTES));
    } catch {
      // The network is not there: no answer will come.
    }
  }
}

/** `tcp,10.244.1.2,8080` each; ends when stdin does. */
export function runFlows(intervalMs: number, specs: readonly string[]): void {
  const say = (message: FlowMessage): void => {
    process.stdout.write(`${JSON.stringify(message)}\n`);
  };
  const flows = specs.map((spec, i) => new Flow(parseFlow(spec), i, say));
  let isSending = true;
  setInterval(() => {
    for (const flow of flows) flow.tick(isSending);
  }, intervalMs);
  const input = createInterface({ input: process.stdin });
  const count = (): void => {
    const sum = (of: "sent" | "received"): number => flows.reduce((total, flow) => total + flow[of], 0);
    say({ type: "count", sent: sum("sent"), received: sum("received") });
  };
  // Whoever started us asks with a line, and is gone when there are no more.
  input.on("line", (line) => {
    if (line === "stop") isSending = false;
    else count();
  });
  input.on("close", () => process.exit(0));
}

function parseFlow(text: string): FlowSpec {
  const [protocol, host = "", port] = text.split(",");
  if ((protocol !== "tcp" && protocol !== "udp" && protocol !== "icmp") || host === "")
    throw new Error(`Cannot read the flow ${JSON.stringify(text)}: want tcp|udp|icmp,ADDRESS,PORT`);
  return { protocol, host, port: Number(port) };
}

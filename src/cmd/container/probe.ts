// Sends pings over TCP, UDP or ICMP and counts the answers. One ping: a probe. Many: a flow, which tells what was lost.
import { parseArgs } from "node:util";
import { icmpChannel } from "./icmp.ts";
import { messageId, pingMessage } from "./message.ts";
import { type Channel, tcpChannel, udpChannel } from "./sockets.ts";

export type ProbeProtocol = "tcp" | "udp" | "icmp";

export interface ProbeOptions {
  readonly protocol: ProbeProtocol;
  readonly host: string;
  readonly port: number;
  readonly id: string;
  /** Length of a ping's payload. */
  readonly bytes: number;
  readonly count: number;
  readonly intervalMs: number;
  /** How long to wait for the connection, and after the last ping for answers. */
  readonly timeoutMs: number;
  /** Print a line at the first answer: then a flow is established. */
  readonly verbose: boolean;
}

/** What the program prints. */
export interface ProbeResult {
  readonly ok: boolean;
  readonly protocol: ProbeProtocol;
  readonly to: string;
  readonly from?: string;
  readonly sent: number;
  readonly received: number;
  readonly lost: number;
  /** Microseconds from ping to pong. */
  readonly rttUs?: { readonly min: number; readonly median: number; readonly max: number };
  readonly error?: string;
}

export function parseProbe(args: readonly string[]): ProbeOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      protocol: { type: "string", default: "tcp" },
      host: { type: "string" },
      port: { type: "string", default: "8080" },
      id: { type: "string", default: String(process.pid) },
      bytes: { type: "string", default: "64" },
      count: { type: "string", default: "1" },
      interval: { type: "string", default: "10" },
      timeout: { type: "string", default: "2000" },
      verbose: { type: "boolean", default: false },
    },
  });
  const { protocol, host, id } = values;
  if (protocol !== "tcp" && protocol !== "udp" && protocol !== "icmp")
    throw new Error(`Cannot probe over ${protocol}: want tcp, udp or icmp`);
  if (!host) throw new Error("Cannot probe nothing: want --host ADDRESS");
  const number = (name: "port" | "bytes" | "count" | "interval" | "timeout"): number => {
    const value = Number(values[name]);
    if (!Number.isInteger(value) || value < 0) throw new Error(`Cannot read --${name} ${values[name]}: want a number`);
    return value;
  };
  return {
    ...{ protocol, host, id, port: number("port"), bytes: number("bytes") },
    ...{ count: number("count"), intervalMs: number("interval"), timeoutMs: number("timeout") },
    verbose: values.verbose,
  };
}

export async function probe(options: ProbeOptions): Promise<ProbeResult> {
  const { protocol, host, port, id, bytes, count, intervalMs, timeoutMs, verbose } = options;
  const sentAt = new Map<string, bigint>();
  const rtts: number[] = [];
  let allAnswered = (): void => {};
  const onMessage = (message: string): void => {
    const answered = messageId(message) ?? "";
    const at = sentAt.get(answered);
    if (at === undefined) return;
    sentAt.delete(answered);
    rtts.push(Number(process.hrtime.bigint() - at) / 1000);
    if (verbose && rtts.length === 1) console.log("first answer");
    if (sentAt.size === 0) allAnswered();
  };
  const result = { protocol, to: protocol === "icmp" ? host : `${host} port ${port}` };
  let channel: Channel | undefined;
  let sent = 0;
  let isInterrupted = false;
  process.once("SIGTERM", () => {
    isInterrupted = true;
  });
  try {
    const open = { tcp: tcpChannel, udp: udpChannel, icmp: icmpChannel }[protocol];
    channel = await open({ host, port, timeoutMs, onMessage });
    for (; sent < count && !isInterrupted; sent++) {
      const name = count === 1 ? id : `${id}-${sent}`;
      sentAt.set(name, process.hrtime.bigint());
      channel.send(pingMessage(name, bytes));
      if (sent + 1 < count) await new Promise((resolve) => setTimeout(resolve, intervalMs));
    }
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      allAnswered = () => {
        clearTimeout(timer);
        resolve();
      };
      if (sentAt.size === 0) allAnswered();
    });
    return {
      ...result,
      ok: sentAt.size === 0,
      from: channel.local,
      sent,
      received: rtts.length,
      lost: sentAt.size,
      ...summary(rtts),
    };
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    return { ...result, ok: false, sent, received: rtts.length, lost: sentAt.size, error: text };
  } finally {
    channel?.close();
  }
}

function summary(rtts: readonly number[]): Pick<ProbeResult, "rttUs"> {
  const sorted = [...rtts].sort((a, b) => a - b).map(Math.round);
  const [min, median, max] = [sorted[0], sorted[sorted.length >> 1], sorted.at(-1)];
  return min === undefined || median === undefined || max === undefined ? {} : { rttUs: { min, median, max } };
}

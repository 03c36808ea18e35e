import { type DestinationStream, destination, type Logger, type LoggerOptions, pino } from "pino";
import { LogLimit } from "./log-limit.ts";

export const LOG_LEVELS = ["debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

const STDERR = 2;

/** JSON lines on stderr; on a terminal, the same as one readable line each. */
export function createLog(name: string, level: LogLevel): Logger {
  const stream = process.stderr.isTTY ? readable() : jsonLines();
  // No error object of a library may carry a secret into the log. (`key` is none: it is where something stands in the store.)
  const redact = { paths: ["password", "*.password", "tls.key", "*.tls.key", "err.metadata"], censor: "(hidden)" };
  const limit = new LogLimit();
  const hooks: LoggerOptions["hooks"] = {
    logMethod(args, method) {
      const [message, fields] = [messageOf(args), fieldsOf(args)];
      const suppressed = limit.take(message, performance.now());
      if (suppressed === 0) method.apply(this, args);
      else if (suppressed !== undefined) method.apply(this, [{ ...fields, suppressed }, message]);
    },
  };
  const timestamp = (): string => `,"time":"${now()}"`;
  return pino({ name, level, redact, hooks, base: { pid: process.pid }, timestamp }, stream);
}

function messageOf(args: readonly unknown[]): string {
  return String(args.find((arg) => typeof arg === "string") ?? "");
}

function fieldsOf([first]: readonly unknown[]): object {
  return typeof first === "object" && first !== null ? first : {};
}

function now(): string {
  return new Date().toISOString();
}

function jsonLines(): DestinationStream {
  // Whoever read the log may end before us; that is no reason to end.
  return destination({ fd: STDERR, sync: true }).on("error", () => {});
}

function readable(): DestinationStream {
  return {
    write: (line) => {
      process.stderr.write(toReadable(line));
    },
  };
}

/** `20:15:01.123 warn  message  key=value …` */
export function toReadable(line: string): string {
  const { level, time, msg, name: _name, pid: _pid, err, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const clock = typeof time === "string" ? time.slice(11, 23) : "";
  const label = pino.levels.labels[Number(level)] ?? String(level);
  const rest = Object.entries(fields).map(
    ([key, value]) => `${key}=${typeof value === "string" ? value : JSON.stringify(value)}`,
  );
  const why = typeof err === "object" && err !== null && "message" in err ? [`err=${JSON.stringify(err.message)}`] : [];
  return `${[clock, label.padEnd(5), String(msg ?? ""), ...rest, ...why].join(" ")}\n`;
}

// JSON objects over a stream, one a line.
import type { Duplex, Readable } from "node:stream";

/** Far above any message; a peer that sends more without a newline is no peer of ours. */
const MAX_LINE = 64 * 1024 * 1024;

/** Calls `onMessage` for each line; a line that is not JSON ends the stream. */
export function readLines<T>(stream: Readable, onMessage: (message: T) => void): void {
  let rest = "";
  stream.setEncoding("utf8");
  stream.on("data", (chunk: string) => {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    try {
      for (const line of lines) if (line !== "") onMessage(JSON.parse(line) as T);
      if (rest.length > MAX_LINE) throw new RangeError("a message without end");
    } catch (error) {
      stream.destroy(error instanceof Error ? error : new Error(String(error)));
    }
  });
}

export function writeLine(stream: Duplex, message: object): void {
  if (stream.writable) stream.write(`${JSON.stringify(message)}\n`);
}

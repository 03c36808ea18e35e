// What probe and server say to each other: `podpath-ping ID`, padded with spaces to a length of the probe's choice and
// ended by a newline; the answer is the same with `pong`, so both have one length.

export const PING = "podpath-ping";
export const PONG = "podpath-pong";

export function pingMessage(id: string, bytes: number): string {
  return `${`${PING} ${id}`.padEnd(bytes - 1)}\n`;
}

/** The answer, or undefined to what is no ping. */
export function pongTo(message: string): string | undefined {
  return message.startsWith(`${PING} `) ? PONG + message.slice(PING.length) : undefined;
}

/** The id of a ping or pong. */
export function messageId(message: string): string | undefined {
  return /^podpath-p[io]ng (\S+)/.exec(message)?.[1];
}

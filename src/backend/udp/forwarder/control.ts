import { acceptOwn, closeDescriptor, listenAbstract, receiveBytes, sendBytes } from "../../../kernel/index.ts";
import { type FromForwarder, socketName, type ToForwarder } from "../protocol.ts";

const EAGAIN = 11;
/** More than a config of the largest cluster. */
const MAX_LINE_BYTES = 64 * 1024 * 1024;

/** The forwarder's end of the agent's connection. There is one at a time: a new agent takes over from the old one. */
export class Control {
  readonly listener: number;
  #connection: number | undefined;
  #received: Uint8Array[] = [];
  #receivedBytes = 0;
  readonly #buffer = new Uint8Array(0x1_0000);

  /** @throws {SyscallError} EADDRINUSE when there is another forwarder for this device */
  constructor(device: string) {
    this.listener = listenAbstract(socketName(device));
  }

  get connection(): number | undefined {
    return this.#connection;
  }

  /** @returns whether there is a new agent */
  accept(): boolean {
    const fd = acceptOwn(this.listener);
    if (fd < 0) return false;
    this.disconnect();
    this.#connection = fd;
    return true;
  }

  disconnect(): void {
    if (this.#connection !== undefined) closeDescriptor(this.#connection);
    this.#connection = undefined;
    this.#received = [];
    this.#receivedBytes = 0;
  }

  /** The messages that have arrived; ends the connection when the agent did. */
  receive(): ToForwarder[] {
    const messages: ToForwarder[] = [];
    while (this.#connection !== undefined) {
      const count = receiveBytes(this.#connection, this.#buffer);
      if (count === -EAGAIN) break;
      this.#receivedBytes += count;
      if (count <= 0 || this.#receivedBytes > MAX_LINE_BYTES) this.disconnect();
      else this.#take(this.#buffer.slice(0, count), messages);
    }
    return messages;
  }

  #take(bytes: Uint8Array, messages: ToForwarder[]): void {
    let rest = bytes;
    for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
      const line = Buffer.concat([...this.#received, rest.subarray(0, end)]).toString("utf8");
      this.#received = [];
      this.#receivedBytes = 0;
      rest = rest.subarray(end + 1);
      messages.push(JSON.parse(line));
    }
    if (rest.length > 0) this.#received.push(rest);
  }

  /** Never waits. An agent that does not read what it is told is none. */
  send(message: FromForwarder): void {
    if (this.#connection === undefined) return;
    const bytes = new TextEncoder().encode(`${JSON.stringify(message)}\n`);
    if (sendBytes(this.#connection, bytes) !== bytes.length) this.disconnect();
  }
}

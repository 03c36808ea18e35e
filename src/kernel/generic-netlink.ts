import {
  decodeFamily,
  describeGenericRequest,
  type GenericFamily,
  getFamily,
  type Message,
  type Request,
} from "../formats/netlink/index.ts";
import type { NetlinkError } from "./errors.ts";
import { batches, Exchange } from "./exchange.ts";
import { NetlinkSocket, type NetlinkTransport } from "./netlink.ts";
import type { NetNs } from "./netns.ts";

const NETLINK_GENERIC = 16;

/** A NETLINK_GENERIC connection, bound to the namespace it was opened in: to subsystems that are asked for by name. */
export class GenericNetlink implements Disposable {
  readonly #transport: NetlinkTransport;
  readonly #exchange: Exchange;
  #describe: (request: Request) => string = describeGenericRequest;

  constructor(transport: NetlinkTransport) {
    this.#transport = transport;
    this.#exchange = new Exchange(transport, (request) => this.#describe(request));
  }

  /** In `ns`, or where this thread is. */
  static open(ns?: NetNs): GenericNetlink {
    return new GenericNetlink(NetlinkSocket.open(NETLINK_GENERIC, ns));
  }

  /** A kernel numbers its families as they are loaded. @throws {NetlinkError} ENOENT when it has none of that name */
  family(name: string): GenericFamily {
    const request = getFamily(name);
    const { replies, errors } = this.#exchange.run([request]);
    const [error] = errors;
    if (error) throw error;
    const reply = replies.find(({ type }) => type === request.type);
    if (!reply) throw new TypeError(`The kernel acknowledged a question for family ${name} without an answer`);
    return decodeFamily(reply);
  }

  /** Lets a family's own requests be told by `describe` in errors. */
  describeBy(describe: (request: Request) => string): void {
    this.#describe = describe;
  }

  /** @throws {NetlinkError} */
  dump(request: Request): readonly Message[] {
    return this.#exchange.dump(request);
  }

  /** Carries all requests out, in order, and gives an error for each that the kernel refused. */
  run(requests: readonly Request[]): NetlinkError[] {
    let done = 0;
    return batches(requests).flatMap((batch) => {
      const before = done;
      done += batch.length;
      return this.#exchange.run(batch).errors.map((error) => error.with({ requestIndex: error.requestIndex + before }));
    });
  }

  [Symbol.dispose](): void {
    this.#transport.close();
  }
}

import {
  decodeMessages,
  encodeMessages,
  type Message,
  NLM_F_ACK,
  NLM_F_ACK_TLVS,
  NLM_F_CAPPED,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLM_F_MULTI,
  NLMSG_DONE,
  NLMSG_ERROR,
  type Request,
} from "../../formats/netlink/index.ts";
import type { NetlinkTransport } from "../netlink.ts";
import { Rtnl } from "../rtnl.ts";

/** What the fake kernel says to one request; nothing at all: done, and nothing to tell. */
export interface FakeAnswer {
  readonly errno?: number;
  /** The extended ack's text. */
  readonly message?: string;
  /** What a GET gives: requests serve, as `newLink()` spells the very attributes that a dump holds. */
  readonly objects?: readonly Pick<Request, "type" | "payload">[];
  /** NLM_F_DUMP_INTR: the table changed during the dump. */
  readonly isInterrupted?: boolean;
  /** The answer never arrives. */
  readonly isLost?: boolean;
}

export type FakeKernel = (request: Message) => FakeAnswer | undefined;

/** A transport whose other end is a function: requests in, answers out. */
export class FakeTransport implements NetlinkTransport {
  /** All datagrams that were sent, decoded. */
  readonly batches: Message[][] = [];
  isClosed = false;
  readonly #kernel: FakeKernel;
  readonly #queue: Uint8Array[] = [];

  constructor(kernel: FakeKernel) {
    this.#kernel = kernel;
  }

  send(bytes: Uint8Array): void {
    const batch = decodeMessages(bytes);
    this.batches.push(batch);
    for (const request of batch) this.#queue.push(...answer(request, this.#kernel(request) ?? {}));
  }

  async sendAsync(bytes: Uint8Array): Promise<void> {
    this.send(bytes);
  }

  /** Queues a datagram that nobody asked for. */
  inject(...messages: Message[]): void {
    this.#queue.push(encodeMessages(messages));
  }

  receive(): Uint8Array | undefined {
    return this.#queue.shift();
  }

  close(): void {
    this.isClosed = true;
  }
}

/** An Rtnl that talks to `kernel`, and what was asked of it so far. */
export function fakeRtnl(kernel: FakeKernel = () => undefined): { rtnl: Rtnl; transport: FakeTransport } {
  const transport = new FakeTransport(kernel);
  return { rtnl: new Rtnl(transport), transport };
}

function answer(request: Message, said: FakeAnswer): Uint8Array[] {
  const { errno = 0, objects = [], isInterrupted = false } = said;
  if (said.isLost) return [];
  const { seq, pid } = request;
  const isDump = request.type % 4 === 2 && (request.flags & NLM_F_DUMP) === NLM_F_DUMP && errno === 0;
  const flags = (isDump ? NLM_F_MULTI : 0) | (isInterrupted ? NLM_F_DUMP_INTR : 0);
  const replies = objects.map(({ type, payload }) => encodeMessages([{ type, flags, seq, pid, payload }]));
  if (isDump) return [...replies, encodeMessages([{ type: NLMSG_DONE, flags, seq, pid, payload: new Uint8Array(4) }])];
  const isAsked = (request.flags & NLM_F_ACK) !== 0;
  return errno !== 0 || isAsked ? [...replies, nlmsgerr(request, errno, said.message)] : replies;
}

/** struct nlmsgerr, capped, with NLMSGERR_ATTR_MSG when there is a text. */
function nlmsgerr({ type, seq, pid }: Message, errno: number, message: string | undefined): Uint8Array {
  const text = message === undefined ? undefined : new TextEncoder().encode(`${message}\0`);
  const payload = new Uint8Array(20 + (text ? 4 + Math.ceil(text.length / 4) * 4 : 0));
  const view = new DataView(payload.buffer);
  view.setInt32(0, -errno, true);
  view.setUint32(4, 16, true);
  view.setUint16(8, type, true);
  view.setUint32(12, seq, true);
  if (text) {
    view.setUint16(20, 4 + text.length, true);
    view.setUint16(22, 1, true);
    payload.set(text, 24);
  }
  return encodeMessages([{ type: NLMSG_ERROR, flags: NLM_F_CAPPED | (text ? NLM_F_ACK_TLVS : 0), seq, pid, payload }]);
}

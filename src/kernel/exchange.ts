// Requests and their answers on one netlink connection.
import {
  type Ack,
  decodeAck,
  decodeMessages,
  encodeBatch,
  type Message,
  NLM_F_DUMP_INTR,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSG_NOOP,
  NLMSG_OVERRUN,
  type Request,
} from "../formats/netlink/index.ts";
import { NetlinkError } from "./errors.ts";
import type { NetlinkTransport } from "./netlink.ts";
import { errnoCode, strerror } from "./sys.ts";

const EINTR = 4;
const ENOBUFS = 105;
/** A dump that is interrupted this often in a row is one of a table that never stands still. */
const DUMP_ATTEMPTS = 50;
/** So many errors fit into the receive buffer that even an unprivileged socket has (208 KiB). */
const BATCH_REQUESTS = 128;
/** Well under SO_SNDBUF's default. */
const BATCH_BYTES = 64 * 1024;

/** What came back for a batch. */
export interface Outcome {
  readonly replies: readonly Message[];
  /** One for each request that the kernel refused. */
  readonly errors: readonly NetlinkError[];
}

/** The answers so far to the requests numbered `first` to `last`. */
interface Answers {
  readonly first: number;
  readonly last: number;
  readonly replies: Message[];
  readonly failures: { readonly index: number; readonly ack: Ack }[];
  isInterrupted: boolean;
  isComplete: boolean;
}

/**
 * One connection's bookkeeping. The kernel works inside send() and has queued all answers when it returns, so
 * everything is read without waiting. An exchange that runs on another thread may have its answers read by one that
 * runs here meanwhile: each message goes to whom its sequence number belongs to.
 */
export class Exchange {
  readonly #transport: NetlinkTransport;
  readonly #describe: (request: Request) => string;
  #seq = 0;
  #open: Answers[] = [];

  /** @param describe tells a request in errors: `add route 10.244.2.0/24 dev flannel.1` */
  constructor(transport: NetlinkTransport, describe: (request: Request) => string) {
    this.#transport = transport;
    this.#describe = describe;
  }

  run(batch: readonly Request[]): Outcome {
    const answers = this.#attempt(batch);
    return { replies: answers.replies, errors: this.#errors(answers, batch) };
  }

  /** As run(), with the kernel's work on another thread. */
  async runAsync(batch: readonly Request[]): Promise<Outcome> {
    const answers = this.#begin(batch.length);
    try {
      await this.#transport.sendAsync(encodeBatch(batch, answers.first));
      this.#drain(answers, batch);
    } finally {
      this.#end(answers);
    }
    return { replies: answers.replies, errors: this.#errors(answers, batch) };
  }

  /** Sends a dump; again, when something changed while the kernel was walking through its table (NLM_F_DUMP_INTR). */
  dump(request: Request): readonly Message[] {
    for (let attempt = 0; attempt < DUMP_ATTEMPTS; attempt++) {
      const answers = this.#attempt([request]);
      const [error] = this.#errors(answers, [request]);
      if (error) throw error;
      if (!answers.isInterrupted) return answers.replies;
    }
    throw this.#error(request, { errno: EINTR }, 0, `what is listed changed under each of ${DUMP_ATTEMPTS} attempts`);
  }

  #attempt(batch: readonly Request[]): Answers {
    const answers = this.#begin(batch.length);
    try {
      this.#transport.send(encodeBatch(batch, answers.first));
      this.#drain(answers, batch);
    } finally {
      this.#end(answers);
    }
    return answers;
  }

  #begin(count: number): Answers {
    // Sequence numbers are 32 bits wide; 0 is the kernel's own for notifications.
    const first = this.#seq + count > 0xffff_ffff ? 1 : this.#seq + 1;
    this.#seq = first + count - 1;
    const answers = { first, last: this.#seq, replies: [], failures: [], isInterrupted: false, isComplete: false };
    this.#open.push(answers);
    return answers;
  }

  #end(answers: Answers): void {
    this.#open = this.#open.filter((other) => other !== answers);
  }

  #drain(mine: Answers, batch: readonly Request[]): void {
    while (!mine.isComplete) {
      const datagram = this.#transport.receive();
      // An answer that is not there by now was lost for want of memory: waiting for it would be for ever.
      if (datagram === undefined) throw this.#error(batch[0], { errno: ENOBUFS }, 0, "the kernel's answer was lost");
      for (const message of decodeMessages(datagram)) this.#sort(message);
    }
  }

  #errors({ failures }: Answers, batch: readonly Request[]): NetlinkError[] {
    return failures.map(({ index, ack }) => this.#error(batch[index], ack, index, strerror(ack.errno)));
  }

  #sort(message: Message): void {
    const { seq, type } = message;
    // None: the late answer to an exchange that failed.
    const answers = this.#open.find(({ first, last }) => seq >= first && seq <= last);
    if (answers === undefined || type === NLMSG_NOOP || type === NLMSG_OVERRUN) return;
    if (message.flags & NLM_F_DUMP_INTR) answers.isInterrupted = true;
    if (type !== NLMSG_ERROR && type !== NLMSG_DONE) {
      answers.replies.push(message);
      return;
    }
    const ack = decodeAck(message);
    if (ack.errno !== 0) answers.failures.push({ index: seq - answers.first, ack });
    if (seq === answers.last) answers.isComplete = true;
  }

  #error(request: Request | undefined, ack: Ack, requestIndex: number, reason: string): NetlinkError {
    const operation = request ? this.#describe(request) : "talk to netlink";
    const { errno, extendedAck } = ack;
    return new NetlinkError(operation, { errno, code: errnoCode(errno), reason, extendedAck, requestIndex });
  }
}

/** Cuts a long list of requests into batches that one send() takes. */
export function batches(requests: readonly Request[]): Request[][] {
  const all: Request[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const request of requests) {
    const size = request.payload.length + 20;
    const batch = all.at(-1);
    if (batch === undefined || bytes + size > BATCH_BYTES || batch.length === BATCH_REQUESTS) {
      all.push([request]);
      bytes = size;
    } else {
      batch.push(request);
      bytes += size;
    }
  }
  return all;
}

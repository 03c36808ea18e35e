// struct nlmsghdr { __u32 nlmsg_len; __u16 nlmsg_type; __u16 nlmsg_flags; __u32 nlmsg_seq; __u32 nlmsg_pid; }
import { align4 } from "./attribute.ts";
import { NLM_F_ACK, NLM_F_REQUEST } from "./constants.ts";
import { DecodeError } from "./errors.ts";

const NLMSG_HDRLEN = 16;

/** What a caller asks of the kernel: nlmsg_type, the nlmsg_flags beyond NLM_F_REQUEST, and all that follows nlmsghdr. */
export interface Request {
  readonly type: number;
  readonly flags: number;
  readonly payload: Uint8Array;
}

/** One netlink message as it travels: `struct nlmsghdr` and its payload (include/uapi/linux/netlink.h). */
export interface Message {
  readonly type: number;
  readonly flags: number;
  readonly seq: number;
  readonly pid: number;
  readonly payload: Uint8Array;
}

export function encodeMessages(messages: readonly Message[]): Uint8Array {
  const total = messages.reduce((sum, { payload }) => sum + NLMSG_HDRLEN + align4(payload.length), 0);
  const bytes = new Uint8Array(total);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const { type, flags, seq, pid, payload } of messages) {
    view.setUint32(at, NLMSG_HDRLEN + payload.length, true);
    view.setUint16(at + 4, type, true);
    view.setUint16(at + 6, flags, true);
    view.setUint32(at + 8, seq, true);
    view.setUint32(at + 12, pid, true);
    bytes.set(payload, at + NLMSG_HDRLEN);
    at += NLMSG_HDRLEN + align4(payload.length);
  }
  return bytes;
}

/**
 * The messages of one datagram. Their payloads are views of `bytes`.
 * @throws {DecodeError}
 */
export function decodeMessages(bytes: Uint8Array): Message[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const messages: Message[] = [];
  for (let at = 0; at < bytes.length; ) {
    const left = bytes.length - at;
    if (left < NLMSG_HDRLEN) throw new DecodeError("nlmsghdr", at, `${left} bytes where ${NLMSG_HDRLEN} are needed`);
    const length = view.getUint32(at, true);
    if (length < NLMSG_HDRLEN || length > left)
      throw new DecodeError("nlmsghdr", at, `a message of ${length} bytes where ${left} are left`);
    messages.push({
      type: view.getUint16(at + 4, true),
      flags: view.getUint16(at + 6, true),
      seq: view.getUint32(at + 8, true),
      pid: view.getUint32(at + 12, true),
      payload: bytes.subarray(at + NLMSG_HDRLEN, at + length),
    });
    // Not align4(), which works on 32-bit integers: `length` is bounded by what is left, so the sum is safe.
    at += length + ((4 - (length % 4)) % 4);
  }
  return messages;
}

/**
 * Several requests as one datagram, numbered from `seq`. Only the last one asks for an acknowledgement: the kernel
 * reports every error anyway, and the acks of the others would only fill the receive buffer.
 */
export function encodeBatch(requests: readonly Request[], seq: number): Uint8Array {
  const last = requests.length - 1;
  return encodeMessages(
    requests.map(({ type, flags, payload }, i) => ({
      type,
      flags: flags | NLM_F_REQUEST | (i === last ? NLM_F_ACK : 0),
      seq: (seq + i) >>> 0,
      pid: 0,
      payload,
    })),
  );
}

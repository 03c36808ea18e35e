import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { AttributeWriter } from "./attribute.ts";
import {
  DecodeError,
  decodeAck,
  decodeMessages,
  encodeMessages,
  type Message,
  NLM_F_ACK_TLVS,
  NLM_F_CAPPED,
  NLMSG_DONE,
  NLMSG_ERROR,
} from "./index.ts";

const ack = (type: number, flags: number, payload: Uint8Array): Message => ({ type, flags, seq: 1, pid: 0, payload });

/** struct nlmsgerr: the errno and the request's header, `echo` bytes of its payload, then attributes. */
function nlmsgerr(errno: number, echo: number, attributes: Uint8Array = new Uint8Array(0)): Uint8Array {
  const payload = new Uint8Array(20 + echo + attributes.length);
  const view = new DataView(payload.buffer);
  view.setInt32(0, -errno, true);
  view.setUint32(4, 16 + echo, true);
  payload.set(attributes, 20 + echo);
  return payload;
}

const said = new AttributeWriter().text(1, "Nexthop id does not exist").u32(2, 36).finish();

test("decodeAck() reads success", () => {
  assert.deepEqual(decodeAck(ack(NLMSG_ERROR, 0, nlmsgerr(0, 0))), { errno: 0 });
});

test("decodeAck() reads the errno and the extended ack, behind a capped request and behind an echoed one", () => {
  const want = { errno: 22, extendedAck: { message: "Nexthop id does not exist", offset: 36 } };
  assert.deepEqual(decodeAck(ack(NLMSG_ERROR, NLM_F_CAPPED | NLM_F_ACK_TLVS, nlmsgerr(22, 0, said))), want);
  assert.deepEqual(decodeAck(ack(NLMSG_ERROR, NLM_F_ACK_TLVS, nlmsgerr(22, 24, said))), want);
});

test("decodeAck() reads a warning: an extended ack of success, which never echoes the request's payload", () => {
  const payload = nlmsgerr(0, 0, said);
  new DataView(payload.buffer).setUint32(4, 64, true);
  const { errno, extendedAck } = decodeAck(ack(NLMSG_ERROR, NLM_F_CAPPED | NLM_F_ACK_TLVS, payload));
  assert.deepEqual([errno, extendedAck?.message], [0, "Nexthop id does not exist"]);
});

test("decodeAck() reads what the kernel of this machine's recording said", () => {
  // ip link set dev nope up, answered without NETLINK_EXT_ACK: ENODEV and the echoed request.
  const hex =
    "34000000020000000000000022540000edffffff" + "2000000010000500000000000000000000000000000000000000000000000000";
  const [message] = decodeMessages(Uint8Array.from(Buffer.from(hex, "hex")));
  assert.ok(message);
  assert.deepEqual(decodeAck(message), { errno: 19 });
});

test("decodeAck() reads the end of a dump: empty, successful, failed", () => {
  assert.deepEqual(decodeAck(ack(NLMSG_DONE, 0, new Uint8Array(0))), { errno: 0 });
  assert.deepEqual(decodeAck(ack(NLMSG_DONE, 0, new Uint8Array(4))), { errno: 0 });
  const failed = Uint8Array.of(0xfe, 0xff, 0xff, 0xff, ...said);
  assert.deepEqual(decodeAck(ack(NLMSG_DONE, NLM_F_ACK_TLVS, failed)), {
    errno: 2,
    extendedAck: { message: "Nexthop id does not exist", offset: 36 },
  });
});

test("decodeAck() refuses what is no ack, and what claims to echo more than there is", () => {
  assert.throws(() => decodeAck(ack(16, 0, new Uint8Array(20))), DecodeError);
  assert.throws(() => decodeAck(ack(NLMSG_ERROR, 0, new Uint8Array(19))), DecodeError);
  const payload = nlmsgerr(22, 24, said);
  new DataView(payload.buffer).setUint32(4, 4000, true);
  assert.throws(() => decodeAck(ack(NLMSG_ERROR, NLM_F_ACK_TLVS, payload)), /echoes a request of 4000 bytes/);
});

test("decodeAck() ends on any payload, with an ack or DecodeError", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(NLMSG_ERROR, NLMSG_DONE),
      fc.nat(0x3ff),
      fc.uint8Array({ maxLength: 120 }),
      (...args) => {
        const [type, flags, payload] = args;
        const [message] = decodeMessages(encodeMessages([ack(type, flags, payload)]));
        assert.ok(message);
        try {
          assert.ok(decodeAck(message).errno >= 0);
        } catch (error) {
          assert.ok(error instanceof DecodeError);
        }
      },
    ),
  );
});

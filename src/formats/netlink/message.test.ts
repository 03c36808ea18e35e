import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  DecodeError,
  decodeMessages,
  encodeBatch,
  encodeMessages,
  type Message,
  NLM_F_ACK,
  NLM_F_REQUEST,
} from "./index.ts";

const message = fc.record(
  {
    type: fc.nat(0xffff),
    flags: fc.nat(0xffff),
    seq: fc.nat(0xffff_ffff),
    pid: fc.nat(0xffff_ffff),
    payload: fc.uint8Array({ maxLength: 100 }),
  },
  { noNullPrototype: true },
);

test("decodeMessages() reads what encodeMessages() spells", () => {
  fc.assert(
    fc.property(fc.array(message, { maxLength: 5 }), (messages: Message[]) => {
      assert.deepEqual(decodeMessages(encodeMessages(messages)), messages);
    }),
  );
});

test("encodeMessages() spells struct nlmsghdr and pads to four bytes", () => {
  const bytes = encodeMessages([{ type: 16, flags: 5, seq: 1, pid: 2, payload: Uint8Array.of(9) }]);
  assert.equal(Buffer.from(bytes).toString("hex"), "11000000100005000100000002000000" + "09000000");
});

test("encodeBatch() numbers the requests and asks for one ack, on the last", () => {
  const request = { type: 24, flags: 0x500, payload: new Uint8Array(12) };
  const messages = decodeMessages(encodeBatch([request, request, request], 41));
  assert.deepEqual(
    messages.map(({ seq, flags }) => [seq, flags]),
    [
      [41, 0x500 | NLM_F_REQUEST],
      [42, 0x500 | NLM_F_REQUEST],
      [43, 0x500 | NLM_F_REQUEST | NLM_F_ACK],
    ],
  );
});

test("decodeMessages() throws DecodeError for a header that is cut, too short or too long", () => {
  const whole = encodeMessages([{ type: 16, flags: 0, seq: 1, pid: 0, payload: new Uint8Array(8) }]);
  for (let length = 1; length < whole.length; length++)
    assert.throws(() => decodeMessages(whole.subarray(0, length)), DecodeError, `${length} bytes`);
  for (const length of [0, 15, 25, 0xffff_ffff]) {
    const bytes = whole.slice();
    new DataView(bytes.buffer).setUint32(0, length, true);
    assert.throws(() => decodeMessages(bytes), DecodeError, `nlmsg_len ${length}`);
  }
  assert.deepEqual(decodeMessages(new Uint8Array(0)), []);
});

test("decodeMessages() ends on any bytes, with messages or DecodeError", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      try {
        const total = decodeMessages(bytes).reduce((sum, { payload }) => sum + payload.length + 16, 0);
        assert.ok(total <= bytes.length);
      } catch (error) {
        assert.ok(error instanceof DecodeError);
      }
    }),
  );
});

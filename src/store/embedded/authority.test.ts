import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { authorityMender } from "./authority.ts";

const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const HEADERS = 1;
const DATA = 0;
const END_HEADERS = 4;

function frame(type: number, flags: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head[8] = 1;
  return Buffer.concat([head, payload]);
}

/** :method POST, :scheme http, then a literal :authority (RFC 7541 §6.2.1), then an indexed header. */
function block(authority: Uint8Array): Buffer {
  return Buffer.concat([Buffer.of(0x83, 0x86, 0x41), authority, Buffer.of(0xbe)]);
}

const raw = (text: string): Buffer => Buffer.concat([Buffer.of(text.length), Buffer.from(text)]);

test("an authority that is none is replaced, coded or not, and nothing else is", () => {
  // The Huffman-coded one is www.example.com (RFC 7541 C.4.1).
  const huffman = Buffer.from("8cf1e3c2e5f23a6ba0ab90f4ff", "hex");
  for (const authority of [
    raw("/run/podpath/store.sock"),
    raw("http://127.0.0.1:2379"),
    raw("x".repeat(126)),
    huffman,
  ]) {
    const sent = Buffer.concat([PREFACE, frame(HEADERS, END_HEADERS, block(authority)), frame(DATA, 0, raw("data"))]);
    const want = Buffer.concat([PREFACE, frame(HEADERS, END_HEADERS, block(raw("s"))), frame(DATA, 0, raw("data"))]);
    assert.deepEqual(authorityMender()(sent), want);
  }
});

test("a literal name before the authority, and a priority, are passed over", () => {
  const head = Buffer.concat([Buffer.of(0x40), raw("name"), raw("value")]);
  const [before, after] = [raw("/a"), raw("s")].map((authority) => Buffer.concat([head, block(authority)]));
  const priority = Buffer.alloc(5);
  for (const [flags, extra] of [
    [END_HEADERS, Buffer.alloc(0)],
    [END_HEADERS | 0x20, priority],
  ] as const) {
    const sent = Buffer.concat([PREFACE, frame(HEADERS, flags, Buffer.concat([extra, before ?? extra]))]);
    const want = Buffer.concat([PREFACE, frame(HEADERS, flags, Buffer.concat([extra, after ?? extra]))]);
    assert.deepEqual(authorityMender()(sent), want);
  }
});

test("pieces of any size give the same bytes", () => {
  const sent = Buffer.concat([
    PREFACE,
    frame(4, 0, new Uint8Array(6)),
    frame(HEADERS, END_HEADERS, block(raw("/a/b"))),
    frame(DATA, 0, Buffer.from("payload")),
  ]);
  const whole = authorityMender()(sent);
  fc.assert(
    fc.property(fc.array(fc.nat(sent.length)), (cuts) => {
      const mend = authorityMender();
      const edges = [0, ...cuts.sort((a, b) => a - b), sent.length];
      const pieces = edges.slice(1).map((end, i) => mend(sent.subarray(edges[i], end)));
      assert.deepEqual(Buffer.concat(pieces), whole);
    }),
  );
});

test("what is no header block, or a broken one, passes as it is", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), fc.nat(9), fc.nat(255), (payload, type, flags) => {
      // A block that does hold a literal authority is mended: not a case of this property.
      fc.pre(!payload.some((byte) => [0x41, 0x01, 0x11].includes(byte)));
      const sent = Buffer.concat([PREFACE, frame(type, flags, payload)]);
      assert.deepEqual(authorityMender()(sent), sent);
    }),
  );
  const tooLong = Buffer.concat([
    PREFACE,
    Buffer.from([0xff, 0xff, 0xff, 1, 4, 0, 0, 0, 1]),
    Buffer.from("start of it"),
  ]);
  assert.deepEqual(authorityMender()(tooLong), tooLong);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { AuthorityRenamer } from "./unix-authority.ts";

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

test("a path as authority becomes a name of the same length", () => {
  const path = "/run/podpath/lab/store.sock";
  const sent = Buffer.concat([PREFACE, frame(HEADERS, END_HEADERS, block(raw(path)))]);
  const expected = Buffer.concat([PREFACE, frame(HEADERS, END_HEADERS, block(raw("unix".padEnd(path.length, "-"))))]);
  assert.deepEqual(new AuthorityRenamer().take(sent), expected);
});

test("a Huffman-coded authority is counted in characters (RFC 7541 C.4.1)", () => {
  const coded = Buffer.from("8cf1e3c2e5f23a6ba0ab90f4ff", "hex");
  const sent = Buffer.concat([PREFACE, frame(HEADERS, END_HEADERS, block(coded))]);
  const expected = Buffer.concat([PREFACE, frame(HEADERS, END_HEADERS, block(raw("unix-----------")))]);
  assert.equal("unix-----------".length, "www.example.com".length);
  assert.deepEqual(new AuthorityRenamer().take(sent), expected);
});

test("pieces of any size give the same bytes", () => {
  const sent = Buffer.concat([
    PREFACE,
    frame(4, 0, new Uint8Array(6)),
    frame(HEADERS, END_HEADERS, block(raw("/a/b"))),
    frame(DATA, 0, Buffer.from("payload")),
  ]);
  const whole = new AuthorityRenamer().take(sent);
  fc.assert(
    fc.property(fc.array(fc.nat(sent.length)), (cuts) => {
      const renamer = new AuthorityRenamer();
      const edges = [0, ...cuts.sort((a, b) => a - b), sent.length];
      const pieces = edges.slice(1).map((end, i) => renamer.take(sent.subarray(edges[i], end)));
      assert.deepEqual(Buffer.concat(pieces), whole);
    }),
  );
});

test("what is no header block, or a broken one, passes as it is", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), fc.nat(9), fc.nat(255), (payload, type, flags) => {
      // A block that does hold a literal authority is renamed: not a case of this property.
      fc.pre(!payload.some((byte) => [0x41, 0x01, 0x11].includes(byte)));
      const sent = Buffer.concat([PREFACE, frame(type, flags, payload)]);
      assert.deepEqual(new AuthorityRenamer().take(sent), sent);
    }),
  );
});

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type IpAddress, ipFromBytes, macFromBytes, parseMac } from "../netip/index.ts";
import { Attributes, AttributeWriter, align4, fixedHeader } from "./attribute.ts";
import { DecodeError } from "./errors.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(" ", ""), "hex"));

test("AttributeWriter spells struct nlattr: length without padding, type, payload, padding", () => {
  const written = new AttributeWriter(bytes("aabb"))
    .u8(1, 0x11)
    .u16(2, 0x2233)
    .be16(3, 8472)
    .u32(4, 0x44556677)
    .text(5, "lo")
    .flag(6, true)
    .nested(7, (inner) => inner.u8(1, 2))
    .finish();
  assert.equal(
    hex(written),
    "aabb0000" +
      "0500010011000000" +
      "0600020033220000" +
      "0600030021180000" +
      "0800040077665544" +
      "070005006c6f0000" +
      "04000600" +
      "0c0007800500010002000000",
  );
});

test("AttributeWriter writes nothing for undefined, nor for a flag that is off", () => {
  const writer = new AttributeWriter().u8(1, undefined).u16(1, undefined).u32(1, undefined).be16(1, undefined);
  writer.bool(1, undefined).text(1, undefined).ip(1, undefined).mac(1, undefined).flag(1, false).flag(1, undefined);
  assert.equal(writer.finish().length, 0);
});

test("two AttributeWriters at once do not write into each other, nor into what is finished", () => {
  const [a, b] = [new AttributeWriter(), new AttributeWriter()];
  a.u32(1, 1);
  b.u32(2, 2);
  a.u8(3, 0xff);
  assert.deepEqual([a.finish(), b.finish()].map(hex), ["080001000100000005000300ff000000", "0800020002000000"]);
  const first = new AttributeWriter().bytes(1, new Uint8Array(3000).fill(0xee)).finish();
  const copy = hex(first);
  const second = new AttributeWriter(8).u8(1, 1).finish();
  assert.equal(hex(first), copy);
  assert.equal(hex(second), "00000000000000000500010001000000", "nothing of the earlier payload is left");
});

test("AttributeWriter refuses what nla_len cannot tell", () => {
  assert.equal(new AttributeWriter().bytes(1, new Uint8Array(0xffff - 4)).finish().length, align4(0xffff));
  assert.throws(() => new AttributeWriter().bytes(1, new Uint8Array(0xffff - 3)), RangeError);
});

const ip = fc
  .oneof(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.uint8Array({ minLength: 16, maxLength: 16 }))
  .map((b): IpAddress => ipFromBytes(b));
const macs = fc.uint8Array({ minLength: 6, maxLength: 6 }).map(macFromBytes);

test("what AttributeWriter writes, Attributes reads", () => {
  fc.assert(
    fc.property(
      fc.nat(0xff),
      fc.nat(0xffff),
      fc.nat(0xffff_ffff),
      fc.string({ maxLength: 300, unit: "binary" }).filter((text) => !text.includes("\0")),
      ip,
      macs,
      fc.uint8Array({ maxLength: 2000 }),
      (u8, u16, u32, text, address, mac, blob) => {
        const payload = new AttributeWriter(4)
          .u8(1, u8)
          .u16(2, u16)
          .u32(3, u32)
          .be16(4, u16)
          .text(5, text)
          .ip(6, address)
          .mac(7, mac)
          .bytes(8, blob)
          .nested(9, (inner) => inner.u32(1, u32).nested(2, (innermost) => innermost.u8(1, u8)))
          .flag(10, true)
          .finish();
        const read = new Attributes(payload, "test", 4);
        assert.deepEqual(
          [read.u8(1), read.u16(2), read.u32(3), read.be16(4), read.text(5), read.ip(6), read.mac(7)],
          [u8, u16, u32, u16, text, address, mac],
        );
        assert.deepEqual(read.bytes(8), blob);
        assert.equal(read.nested(9, "nest")?.u32(1), u32);
        assert.equal(read.nested(9, "nest")?.nested(2, "inner")?.u8(1), u8);
        assert.deepEqual([read.has(10), read.has(11), read.u8(11)], [true, false, undefined]);
      },
    ),
  );
});

test("Attributes takes the last of two attributes of one type, and passes over padding, as nla_parse() does", () => {
  const read = new Attributes(bytes("05000100 01000000 05000100 02000000 000000"), "test");
  assert.equal(read.u8(1), 2);
});

test("Attributes takes a last attribute without its padding", () => {
  assert.equal(new Attributes(bytes("0500010007"), "test").u8(1), 7);
});

const BAD: [name: string, bytes: string, offset: number, message: RegExp][] = [
  ["an attribute shorter than its own header", "03000100", 0, /an attribute of 3 bytes/],
  ["a length of 0, which would never end", "00000000", 0, /an attribute of 0 bytes/],
  ["an attribute that is longer than the buffer", "09000100 01000000", 0, /of 9 bytes where 8 are left/],
  ["the second attribute is cut", "05000100 01000000 08000200 0102", 8, /of 8 bytes where 6 are left/],
];

test("Attributes throws DecodeError, with the offset, for what does not fit", () => {
  for (const [name, text, offset, message] of BAD) {
    assert.throws(
      () => new Attributes(bytes(text), "test", 0, 100),
      (error) => error instanceof DecodeError && error.offset === 100 + offset && message.test(error.message),
      name,
    );
  }
  const wrongSize = new Attributes(bytes("06000100 01020000"), "test");
  for (const read of [() => wrongSize.u8(1), () => wrongSize.u32(1), () => wrongSize.ip(1)])
    assert.throws(read, DecodeError);
  assert.throws(() => fixedHeader(new Uint8Array(3), 4, "ndmsg"), /Cannot decode ndmsg at byte 3: 3 bytes where 4/);
});

test("Attributes.mac() gives undefined for a link-layer address of another length", () => {
  const read = new Attributes(new AttributeWriter().bytes(1, new Uint8Array(20)).finish(), "test");
  assert.equal(read.mac(1), undefined);
  assert.equal(new AttributeWriter().mac(1, parseMac("0a:58:0a:f4:01:02")).finish().length, 12);
});

test("Attributes ends on any bytes, and reads none beyond the buffer", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(40), (data, margin) => {
      // The same bytes inside a larger buffer, with others behind them, must read the same.
      const larger = new Uint8Array(data.length + 2 * margin).fill(0xff);
      larger.set(data, margin);
      const outcome = (view: Uint8Array): unknown => {
        try {
          const read = new Attributes(view, "test");
          return Array.from({ length: 300 }, (_, type) => read.bytes(type) ?? null);
        } catch (error) {
          assert.ok(error instanceof DecodeError);
          return error.message;
        }
      };
      assert.deepEqual(outcome(larger.subarray(margin, margin + data.length)), outcome(data));
    }),
  );
});

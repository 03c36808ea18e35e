import assert from "node:assert/strict";
import { isIP } from "node:net";
import { test } from "node:test";
import fc from "fast-check";
import {
  addToIp,
  compareIp,
  formatPrefix,
  ipFromBigInt,
  ipFromBytes,
  ipToBigInt,
  ipToBytes,
  lastAddress,
  localMac,
  macFromBytes,
  macToBytes,
  maskPrefix,
  ParseError,
  parseIp,
  parseIpv4,
  parseMac,
  parsePrefix,
  prefixContains,
  prefixesOverlap,
} from "./index.ts";

const CANONICAL: [string, string][] = [
  ["10.0.0.1", "10.0.0.1"],
  ["0.0.0.0", "0.0.0.0"],
  ["::", "::"],
  ["0:0:0:0:0:0:0:1", "::1"],
  ["2001:DB8::0:1", "2001:db8::1"],
  ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
  ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
  ["::ffff:192.0.2.1", "::ffff:c000:201"],
  ["1::", "1::"],
];
const BAD = ["", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "1.2.3.4 ", "-1.2.3.4", ":", ":::", "1::2::3"].concat(
  "12345::",
  "1:2:3:4:5:6:7",
  "1:2:3:4:5:6:7:8:9",
  "1:2:3:4:5:6:7::8",
  "fe80::1%eth0",
  "g::",
  "::1.2.3",
);

test("parseIp() gives the canonical form of RFC 5952", () => {
  for (const [text, want] of CANONICAL) assert.equal(parseIp(text), want);
});

test("parseIp() refuses what is not an address, and never hangs", () => {
  for (const text of BAD) assert.throws(() => parseIp(text), ParseError, text);
  fc.assert(
    fc.property(fc.string(), (text) => {
      if (isIP(text) === 0) assert.throws(() => parseIp(text), ParseError);
    }),
  );
});

test("parseIp() accepts every address that Node accepts, and round-trips through bytes and numbers", () => {
  const bytes = fc.oneof(
    fc.uint8Array({ minLength: 4, maxLength: 4 }),
    fc.uint8Array({ minLength: 16, maxLength: 16 }),
    fc.array(fc.constantFrom(0, 0, 0, 1, 255), { minLength: 16, maxLength: 16 }).map((a) => Uint8Array.from(a)),
  );
  fc.assert(
    fc.property(bytes, (b) => {
      const ip = ipFromBytes(b);
      assert.equal(isIP(ip), b.length === 4 ? 4 : 6);
      assert.equal(parseIp(ip), ip);
      assert.deepEqual(ipToBytes(ip), b);
      assert.equal(ipFromBigInt(ipToBigInt(ip), b.length === 4 ? 4 : 6), ip);
    }),
  );
  fc.assert(fc.property(fc.ipV6(), (text) => isIP(parseIp(text)) === 6));
});

test("addToIp() carries, and fails outside the address space", () => {
  assert.equal(addToIp(parseIp("10.0.0.255"), 1), "10.0.1.0");
  assert.equal(addToIp(parseIp("fd00::"), -1n), "fcff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
  assert.throws(() => addToIp(parseIp("255.255.255.255"), 1), ParseError);
});

test("compareIp() orders by family, then by number", () => {
  const sorted = ["10.0.0.2", "10.0.0.10", "::1", "fd00::"].map(parseIp);
  assert.deepEqual([...sorted].reverse().sort(compareIp), sorted);
});

test("prefixes parse, mask, contain and overlap", () => {
  assert.equal(formatPrefix(maskPrefix(parsePrefix("10.244.3.7/22"))), "10.244.0.0/22");
  assert.equal(formatPrefix(maskPrefix(parsePrefix("fd00:1::5/64"))), "fd00:1::/64");
  assert.equal(lastAddress(parsePrefix("10.244.3.0/24")), "10.244.3.255");
  assert.ok(prefixContains(parsePrefix("0.0.0.0/0"), parseIpv4("1.2.3.4")));
  assert.ok(!prefixContains(parsePrefix("::/0"), parseIpv4("1.2.3.4")));
  assert.ok(!prefixContains(parsePrefix("10.0.0.1/32"), parseIpv4("10.0.0.2")));
  assert.ok(prefixesOverlap(parsePrefix("10.0.0.0/8"), parsePrefix("10.3.0.0/16")));
  assert.ok(!prefixesOverlap(parsePrefix("10.4.0.0/16"), parsePrefix("10.3.0.0/16")));
  for (const bad of ["10.0.0.0", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/08", "10.0.0.0/8/8", "/8", "::/129"])
    assert.throws(() => parsePrefix(bad), ParseError, bad);
});

test("MAC addresses round-trip; localMac() is local and unicast", () => {
  assert.equal(parseMac("0A:58:0a:F4:01:02"), "0a:58:0a:f4:01:02");
  for (const bad of ["", "0a:58:0a:f4:01", "0a-58-0a-f4-01-02", "0a:58:0a:f4:01:02:03", "0g:58:0a:f4:01:02"])
    assert.throws(() => parseMac(bad), ParseError, bad);
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 6, maxLength: 6 }), (b) => {
      assert.deepEqual(macToBytes(macFromBytes(b)), b);
      assert.equal((macToBytes(localMac(b))[0] ?? 0) & 3, 2);
    }),
  );
});

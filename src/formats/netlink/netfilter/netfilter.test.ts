import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DecodeError, decodeConntrack, decodeNfTablesEvent, deleteConntrack, type Message, NFPROTO } from "../index.ts";

function message(type: number, payload: Uint8Array): Message {
  return { type, flags: 0, seq: 0, pid: 0, payload };
}

function hex(text: string): Uint8Array {
  return Uint8Array.from(text.match(/../g) ?? [], (octet) => Number.parseInt(octet, 16));
}

// What Linux 6.18 announced in NFNLGRP_NFTABLES for `nft add chain ip mine c`: NFT_MSG_NEWCHAIN, then NFT_MSG_NEWGEN.
const NEWCHAIN = hex(
  "02000003" + "090001006d696e6500000000" + "0600030063000000" + "0c0002000000000000000001" + "0800060000000000",
);
const NEWGEN = hex("00000003" + "0800010000000003" + "080002000000140a" + "080003006e667400");

test("decodeNfTablesEvent() tells the table and the generation", () => {
  assert.deepEqual(decodeNfTablesEvent(message(0x0a03, NEWCHAIN)), {
    kind: "change",
    nfproto: NFPROTO.ip,
    table: "mine",
  });
  assert.deepEqual(decodeNfTablesEvent(message(0x0a0f, NEWGEN)), { kind: "generation", id: 3 });
});

test("decodeNfTablesEvent() passes over other subsystems", () => {
  assert.equal(decodeNfTablesEvent(message(0x0100, NEWCHAIN)), undefined);
  assert.equal(decodeNfTablesEvent(message(2, NEWCHAIN)), undefined);
});

const IPCTNL_MSG_CT_NEW = 0x0100;

// Of a dump (Linux 6.18), the entry made by `conntrack -I -p udp -t 120 -s 203.0.113.10 -d 10.96.0.10 --sport 40000
// --dport 80 -r 10.244.1.2 -q 203.0.113.10 --reply-port-src 8080 --reply-port-dst 40000`.
const ENTRY = hex(
  "02000000" +
    "34000180" +
    "1400018008000100cb00710a080002000a60000a" +
    "1c0002800500010011000000060002009c4000000600030000500000" +
    "34000280" +
    "14000180080001000af4010208000200cb00710a" +
    "1c0002800500010011000000060002001f900000060003009c400000" +
    "0800030000000008" +
    "0800080000000000" +
    "08000c002fa13122" +
    "08000b0000000001" +
    "0800070000000077" +
    "1c001880080001000000000008000200000000000800030000000000",
);

test("decodeConntrack() reads both directions, and deleteConntrack() sends the identity back as it came", () => {
  const decoded = decodeConntrack(message(IPCTNL_MSG_CT_NEW, ENTRY));
  assert.ok(decoded);
  assert.deepEqual(decoded.original, {
    protocol: 17,
    source: "203.0.113.10",
    destination: "10.96.0.10",
    sourcePort: 40000,
    destinationPort: 80,
  });
  assert.equal(decoded.reply.source, "10.244.1.2");
  const { type, payload } = deleteConntrack(decoded);
  assert.equal(type, 0x0102);
  const again = decodeConntrack(message(IPCTNL_MSG_CT_NEW, payload));
  assert.equal(again, undefined, "a deletion has no reply tuple");
  assert.deepEqual(payload.subarray(-4), hex("2fa13122"));
  const arp = ENTRY.with(0, 3);
  assert.equal(decodeConntrack(message(IPCTNL_MSG_CT_NEW, arp)), undefined);
});

test("cut or changed bytes give a DecodeError or an answer, never more", () => {
  const whole = [
    [0x0a03, NEWCHAIN],
    [0x0a0f, NEWGEN],
    [IPCTNL_MSG_CT_NEW, ENTRY],
  ] as const;
  fc.assert(
    fc.property(fc.constantFrom(...whole), fc.nat(), fc.nat(), fc.nat(255), ([type, bytes], cut, at, value) => {
      const damaged = bytes.slice(0, cut % (bytes.length + 1));
      if (damaged.length > 0) damaged[at % damaged.length] = value;
      for (const decode of [decodeNfTablesEvent, decodeConntrack])
        try {
          decode(message(type, damaged));
        } catch (error) {
          assert.ok(error instanceof DecodeError, String(error));
        }
    }),
  );
});

// Objects through bytes and back, and bytes that nobody meant.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import {
  type IpFamily,
  ipFromBytes,
  type MacAddress,
  macFromBytes,
  maskPrefix,
  type Prefix,
  prefixFamily,
} from "../../netip/index.ts";
import * as nl from "../index.ts";

const bytesOf = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length });
const ip4 = bytesOf(4).map(ipFromBytes);
const ip6 = bytesOf(16).map(ipFromBytes);
const mac: fc.Arbitrary<MacAddress> = bytesOf(6).map(macFromBytes);
const index = fc.integer({ min: 1, max: 0x7fff_ffff });
const u8 = fc.nat(0xff);
const u32 = fc.nat(0xffff_ffff);
const bit = fc.boolean();
/** Plain objects: fast-check would sometimes make one without a prototype, which no decoder does. */
const PLAIN = { noNullPrototype: true } as const;
const name = fc.stringMatching(/^[a-z0-9.-]{1,15}$/);

/** The answer that would tell of what was asked for. */
function echo({ type, flags, payload }: nl.Request): nl.Message {
  const [message] = nl.decodeMessages(nl.encodeMessages([{ type, flags, payload, seq: 1, pid: 0 }]));
  assert.ok(message);
  return message;
}

/** fc.record() with every key optional gives keys that are undefined, too; the decoders leave these out. */
function given<T extends object>(spec: T): Partial<T> {
  return Object.fromEntries(Object.entries(spec).filter(([, value]) => value !== undefined)) as Partial<T>;
}

const prefixOf = (family: IpFamily): fc.Arbitrary<Prefix> =>
  fc
    .tuple(family === 4 ? ip4 : ip6, fc.integer({ min: 1, max: family === 4 ? 32 : 128 }))
    .map(([address, length]) => maskPrefix({ address, length }));

test("decodeRoute() reads what newRoute() spells", () => {
  const routes = fc.constantFrom<IpFamily>(4, 6).chain((family) =>
    fc.record(
      {
        family: fc.constant(family),
        dst: prefixOf(family),
        gateway: fc.oneof(ip4, ip6),
        oif: index,
        table: u32.filter((table) => table > 0),
        protocol: u8,
        scope: u8,
        type: u8,
        tos: u8,
        priority: u32,
        prefSrc: family === 4 ? ip4 : ip6,
        onlink: bit,
        nexthopId: index,
        mtu: u32,
      },
      { noNullPrototype: true, requiredKeys: ["family", "table", "protocol", "scope", "type", "tos", "onlink"] },
    ),
  );
  fc.assert(
    fc.property(routes, (spec) => {
      const { flags, ...route } = nl.decodeRoute(echo(nl.newRoute(spec)));
      assert.deepEqual(route, given(spec));
      assert.equal(flags, spec.onlink ? nl.RTNH_F_ONLINK : 0);
    }),
  );
});

test("decodeAddress() reads what newAddress() spells", () => {
  const addresses = fc.constantFrom<IpFamily>(4, 6).chain((family) =>
    fc.record(
      {
        index,
        prefix: fc.record({ address: family === 4 ? ip4 : ip6, length: fc.nat(family === 4 ? 32 : 128) }, PLAIN),
        scope: u8,
        flags: u32,
        label: name,
        broadcast: ip4,
        peer: family === 4 ? ip4 : ip6,
      },
      { noNullPrototype: true, requiredKeys: ["index", "prefix", "scope", "flags"] },
    ),
  );
  fc.assert(
    fc.property(addresses, (spec) => {
      const want = given(spec.peer === spec.prefix.address ? { ...spec, peer: undefined } : spec);
      assert.deepEqual(nl.decodeAddress(echo(nl.newAddress(spec))), want);
    }),
  );
});

test("decodeNeighbour(), decodeFdb() and decodeNexthop() read what their makers spell", () => {
  fc.assert(
    fc.property(fc.oneof(ip4, ip6), mac, index, fc.nat(0xff), u8, (address, lladdr, ifindex, state, flags) => {
      const family = prefixFamily({ address });
      const neighbour = { index: ifindex, address, lladdr, state, flags, protocol: 112 };
      assert.deepEqual(nl.decodeNeighbour(echo(nl.replaceNeighbour(neighbour))), { ...neighbour, family });
      const fdb = { index: ifindex, lladdr, dst: address, state, flags, vlan: 7 };
      assert.deepEqual(nl.decodeFdb(echo(nl.newFdb(fdb))), fdb);
      const nexthop = { id: ifindex, family, gateway: address, oif: ifindex, onlink: true, protocol: 112 };
      assert.deepEqual(nl.decodeNexthop(echo(nl.newNexthop(nexthop))), { ...nexthop, blackhole: false });
    }),
  );
});

test("decodeLink() reads what newLink() spells", () => {
  const vxlan = fc.record(
    {
      kind: fc.constant("vxlan" as const),
      id: fc.nat(0xff_ffff),
      local: fc.oneof(ip4, ip6),
      group: fc.oneof(ip4, ip6),
      link: index,
      port: fc.nat(0xffff),
      learning: bit,
      udpCsum: bit,
      udpZeroCsum6Tx: bit,
      udpZeroCsum6Rx: bit,
      gbp: bit,
      ttl: u8,
      tos: u8,
      ageingSeconds: u32,
      portRange: fc.tuple(fc.nat(0xffff), fc.nat(0xffff)),
      proxy: bit,
      rsc: bit,
      l2miss: bit,
      l3miss: bit,
    },
    PLAIN,
  );
  const bridge = fc.record(
    {
      kind: fc.constant("bridge" as const),
      stp: bit,
      ageingSeconds: fc.nat(1_000_000),
      forwardDelaySeconds: fc.nat(30),
      vlanFiltering: bit,
      vlanDefaultPvid: fc.nat(4094),
      multicastSnooping: bit,
      nfCallIptables: bit,
      nfCallIp6tables: bit,
    },
    PLAIN,
  );
  const common = { name, index, mtu: u32, address: mac, master: index, group: u32, txQueueLength: u32, isUp: bit };
  fc.assert(
    fc.property(fc.record(common, PLAIN), fc.oneof(vxlan, bridge), (spec, kind) => {
      assert.deepEqual(nl.decodeLink(echo(nl.newLink({ ...spec, kind }))), {
        ...spec,
        kind,
        flags: spec.isUp ? nl.IFF_UP : 0,
        operState: "UNKNOWN",
        promiscuity: 0,
      });
    }),
  );
});

test("setLink() renames by index only: a name beside it would be looked up instead", () => {
  assert.throws(() => nl.setLink({ name: "a", newName: "b" }), TypeError);
  assert.equal(nl.decodeLink(echo(nl.setLink({ index: 7, newName: "b" }))).name, "b");
});

const DECODERS: readonly ((message: nl.Message) => unknown)[] = [
  nl.decodeLink,
  (message) => nl.decodeLink(message, { stats: true }),
  nl.decodeAddress,
  nl.decodeRoute,
  nl.decodeNeighbour,
  nl.decodeFdb,
  nl.decodeNexthop,
  nl.decodeEvent,
  (message) => nl.describeRequest(message),
];

/** Runs every decoder; what is thrown must be DecodeError. */
function survives(message: nl.Message): void {
  for (const decode of DECODERS)
    try {
      decode(message);
    } catch (error) {
      assert.ok(error instanceof nl.DecodeError, `${error}`);
    }
}

test("the decoders end on any payload, with an object or DecodeError", () => {
  const types = fc.constantFrom(16, 17, 20, 24, 25, 26, 28, 29, 30, 104);
  fc.assert(
    fc.property(types, fc.nat(0xfff), fc.uint8Array({ maxLength: 160 }), (type, flags, payload) => {
      survives({ type, flags, seq: 1, pid: 0, payload });
    }),
    { numRuns: 500 },
  );
});

test("the decoders end on the kernel's own messages with a byte changed, or cut anywhere", () => {
  const file = new URL("../../../../testdata/netlink/replies.json", import.meta.url);
  const replies: { hex: string[] }[] = JSON.parse(readFileSync(file, "utf8")).replies;
  const messages = replies.flatMap(({ hex }) =>
    hex.flatMap((text) => nl.decodeMessages(Uint8Array.from(Buffer.from(text, "hex")))),
  );
  assert.ok(messages.length > 40);
  for (const message of messages)
    for (let length = 0; length < message.payload.length; length += 3)
      survives({ ...message, payload: message.payload.subarray(0, length) });
  fc.assert(
    fc.property(fc.constantFrom(...messages), fc.nat(2000), u8, (message, at, value) => {
      const payload = message.payload.slice();
      payload[at % payload.length] = value;
      survives({ ...message, payload });
    }),
    { numRuns: 1000 },
  );
});

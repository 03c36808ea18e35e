import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseNetworkConfig } from "../formats/flannel/index.ts";
import {
  formatPrefix,
  ipFromBytes,
  maskPrefix,
  parsePrefix,
  prefixContains,
  prefixesOverlap,
} from "../formats/netip/index.ts";
import { chooseSubnet, countSubnets, describeFullPool, freeSubnets, inFamilies, isInPool } from "./allocate.ts";

const pool = (text: string, family: "ipv4" | "ipv6" = "ipv4") => {
  const found = parseNetworkConfig(text)[family];
  assert.ok(found);
  return found;
};
const small = pool('{"Network":"10.5.0.0/20","SubnetLen":24,"SubnetMin":"10.5.2.0","SubnetMax":"10.5.9.0"}');

test("freeSubnets() are those from SubnetMin to SubnetMax that overlap with none that is taken", () => {
  const names = (taken: string[]): string[] => freeSubnets(small, taken.map(parsePrefix)).map(({ address }) => address);
  assert.deepEqual(
    names([]),
    [2, 3, 4, 5, 6, 7, 8, 9].map((n) => `10.5.${n}.0`),
  );
  assert.deepEqual(
    names(["10.5.2.0/24", "10.5.9.0/24", "10.5.5.128/25"]),
    [3, 4, 6, 7, 8].map((n) => `10.5.${n}.0`),
  );
  assert.deepEqual(
    names(["10.5.4.0/22", "10.5.4.0/24", "10.5.5.0/30"]),
    [2, 3, 8, 9].map((n) => `10.5.${n}.0`),
  );
  assert.deepEqual(names(["10.0.0.0/8"]), []);
  assert.deepEqual(names(["10.6.0.0/16", "fd00::/8"]).length, 8);
});

test("freeSubnets() is quick and stops at a hundred, however many there are", () => {
  const huge = pool('{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fd00::/8"}', "ipv6");
  assert.equal(freeSubnets(huge, [parsePrefix("fd00::/16")]).length, 100);
  assert.equal(countSubnets(huge, [parsePrefix("fd00::/16")]).free, 255n << 48n);
  const wide = pool('{"Network":"10.0.0.0/8"}');
  const taken = Array.from({ length: 20_000 }, (_, i) => parsePrefix(`10.${i >> 8}.${i & 255}.0/24`));
  assert.equal(freeSubnets(wide, taken)[0]?.address, "10.78.32.0");
});

test("freeSubnets() and countSubnets() agree with looking at every subnet", () => {
  const prefix = fc
    .tuple(fc.constantFrom(0, 1, 2, 4, 5, 8, 9, 12, 15), fc.nat(255), fc.integer({ min: 16, max: 30 }))
    .map(([third, fourth, length]) =>
      maskPrefix({ address: ipFromBytes(Uint8Array.of(10, 5, third, fourth)), length }),
    );
  fc.assert(
    fc.property(fc.array(prefix, { maxLength: 8 }), (taken) => {
      const all = freeSubnets(small, []);
      const want = all.filter((subnet) => !taken.some((other) => prefixesOverlap(other, subnet)));
      assert.deepEqual(freeSubnets(small, taken), want);
      assert.deepEqual(countSubnets(small, taken), { all: 8n, free: BigInt(want.length) });
      const chosen = chooseSubnet(small, taken, (below) => below - 1);
      assert.deepEqual(chosen, want.at(-1));
      if (chosen) assert.ok(isInPool(small, chosen) && prefixContains(small.network, chosen.address));
    }),
  );
});

test("describeFullPool() says how many subnets exist, from where to where", () => {
  assert.equal(
    describeFullPool(small, [parsePrefix("10.5.0.0/20")]),
    "0 of 8 subnets from 10.5.2.0/24 to 10.5.9.0/24 are free, 1 leases hold them",
  );
});

test("inFamilies() leaves a peer's other family out, and the peer itself when nothing is left", () => {
  const config = parseNetworkConfig('{"Network":"10.5.0.0/16"}');
  const lease = { subnet: parsePrefix("10.5.1.0/24"), ipv6Subnet: parsePrefix("fd00::/64"), attrs: {} as never };
  assert.equal(formatPrefix(inFamilies(config, lease)?.subnet ?? parsePrefix("::/0")), "10.5.1.0/24");
  assert.equal(inFamilies(config, lease)?.ipv6Subnet, undefined);
  assert.equal(inFamilies(config, { ipv6Subnet: lease.ipv6Subnet, attrs: lease.attrs }), undefined);
});

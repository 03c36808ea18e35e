import assert from "node:assert/strict";
import { test } from "node:test";
import { pino } from "pino";
import { parsePrefix } from "../formats/netip/index.ts";
import type { Nft } from "../kernel/index.ts";
import { type MasqueradeConfig, NftMasquerade } from "./index.ts";

const CONFIG: MasqueradeConfig = {
  ipv4: { network: parsePrefix("10.5.0.0/16"), subnet: parsePrefix("10.5.67.0/24") },
  ipMasq: true,
  forwardRules: true,
};

test("a repair that fails is tried again, after a second, two, and so on, until it succeeds", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  let [listing, writes, isRefusing, change] = ["", 0, false, (): void => {}];
  const nft = {
    apply: () => {
      writes++;
      if (isRefusing) throw new Error("busy");
      listing = "ours";
    },
    list: () => ({ nftables: [listing] }),
    watch: (onChange: () => void) => {
      change = onChange;
      return { [Symbol.dispose]: () => {} };
    },
  };
  const masquerade = new NftMasquerade(nft as unknown as Nft, CONFIG, pino({ level: "silent" }));
  using _watch = masquerade.watch();
  [listing, isRefusing] = ["somebody else's", true];
  change();
  const counts = [1000, 1999, 1].map((ms) => {
    t.mock.timers.tick(ms);
    return writes;
  });
  assert.deepEqual(counts, [3, 3, 4]);
  isRefusing = false;
  t.mock.timers.tick(4000);
  assert.equal(listing, "ours");
  t.mock.timers.tick(100_000);
  assert.equal(writes, 5);
});

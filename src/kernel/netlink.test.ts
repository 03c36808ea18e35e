import assert from "node:assert/strict";
import { readdirSync, readlinkSync } from "node:fs";
import { test } from "node:test";
import { Rtnl, watchRtnl } from "./index.ts";
import { NetlinkSocket } from "./netlink.ts";

/** How many sockets this process has. */
function sockets(): number {
  return readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith("socket:");
    } catch {
      // The one that the listing itself had.
      return false;
    }
  }).length;
}

test("a netlink connection that could not be prepared leaves no descriptor", (t) => {
  const watchAll = (): Disposable =>
    watchRtnl(
      undefined,
      () => {},
      () => {},
    );
  const before = sockets();
  const joins = t.mock.method(NetlinkSocket.prototype, "setOption", () => -1);
  assert.throws(watchAll, /Cannot join rtnetlink group \d+: .*EPERM/);
  joins.mock.restore();
  t.mock.method(NetlinkSocket.prototype, "setReceiveBuffer", () => {
    throw new Error("no buffer");
  });
  assert.throws(watchAll, /no buffer/);
  assert.throws(() => Rtnl.open(), /no buffer/);
  assert.equal(sockets(), before);
});

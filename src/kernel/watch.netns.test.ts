import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseIp, parseMac, parsePrefix } from "../formats/netip/index.ts";
import * as nl from "../formats/netlink/index.ts";
import { createUnnamedNetNs, type NetNs, Rtnl, type RtnlEvent, type WatchRtnlOptions, watchRtnl } from "./index.ts";
import { whyNoNetNs } from "./testing/namespaces.ts";

const skip = whyNoNetNs();
const lladdr = parseMac("02:00:00:00:00:01");

/** A watch whose events and resyncs are awaited one after the other. */
function watching(ns: NetNs, options?: WatchRtnlOptions) {
  const seen: (RtnlEvent | "resync")[] = [];
  let arrived = (): void => {};
  const add = (entry: RtnlEvent | "resync"): void => {
    seen.push(entry);
    arrived();
  };
  const watch = watchRtnl(ns, add, () => add("resync"), options);
  /** The first entry, from now on or already there, that `matches`; those before it are dropped. */
  const next = async (matches: (entry: RtnlEvent | "resync") => boolean): Promise<RtnlEvent | "resync"> => {
    for (;;) {
      while (seen.length > 0) {
        const entry = seen.shift();
        if (entry && matches(entry)) return entry;
      }
      await new Promise<void>((resolve) => {
        arrived = resolve;
      });
    }
  };
  return { next, seen, [Symbol.dispose]: () => watch[Symbol.dispose]() };
}

const is =
  (of: RtnlEvent["of"], change: RtnlEvent["change"]) =>
  (entry: RtnlEvent | "resync"): boolean =>
    entry !== "resync" && entry.of === of && entry.change === change;

describe("watchRtnl()", { skip }, () => {
  test("tells of some links alone when asked to, and of everything else all the same", async () => {
    using ns = createUnnamedNetNs();
    using rtnl = Rtnl.open(ns);
    using watch = watching(ns, { links: ({ name, index }) => name === "wanted" || index === 30 });
    const make = (name: string, index: number): void =>
      rtnl.execute(nl.newLink({ name, index, kind: { kind: "bridge" } }));
    make("other", 20);
    make("wanted", 21);
    make("thirty", 30);
    rtnl.execute(nl.deleteLink({ name: "other" }));
    rtnl.execute(nl.deleteLink({ name: "wanted" }));
    rtnl.execute(nl.newAddress({ index: 30, prefix: parsePrefix("10.1.0.1/24") }));
    const names = new Set<string>();
    await watch.next((entry) => {
      if (entry !== "resync" && entry.of === "link") names.add(`${entry.change} ${entry.link.name}`);
      return is("address", "new")(entry);
    });
    assert.deepEqual([...names], ["new wanted", "new thirty", "delete wanted"]);
  });

  test("tells of one family's addresses and routes alone when asked to", async () => {
    using ns = createUnnamedNetNs();
    using rtnl = Rtnl.open(ns);
    rtnl.execute(nl.newLink({ name: "br", isUp: true, kind: { kind: "bridge" } }));
    const index = rtnl.link("br")?.index ?? 0;
    for (const [family, own, other] of [
      [4, "10.1.0.1/24", "fd00:1::1/64"],
      [6, "fd00:2::1/64", "10.2.0.1/24"],
    ] as const) {
      using watch = watching(ns, { families: [family] });
      for (const prefix of [other, own]) rtnl.execute(nl.newAddress({ index, prefix: parsePrefix(prefix) }));
      // The last of what is made here; the kernel keeps the order.
      rtnl.execute(nl.newLink({ name: `end${family}`, kind: { kind: "bridge" } }));
      const families = new Set<number>();
      await watch.next((entry) => {
        if (entry === "resync") return false;
        if (entry.of === "address") families.add(entry.address.prefix.address.includes(":") ? 6 : 4);
        if (entry.of === "route") families.add(entry.route.family);
        return entry.of === "link" && entry.link.name === `end${family}`;
      });
      assert.deepEqual([...families], [family]);
    }
  });

  test("announces links, addresses, routes, neighbours, FDB entries and nexthops, coming and going", async () => {
    using ns = createUnnamedNetNs();
    using rtnl = Rtnl.open(ns);
    using watch = watching(ns);
    rtnl.execute(nl.newLink({ name: "br", isUp: true, kind: { kind: "bridge" } }));
    const added = await watch.next(is("link", "new"));
    assert.ok(added !== "resync" && added.of === "link" && added.link.name === "br");
    const { index } = added.link;
    const dst = parsePrefix("10.9.0.0/24");
    const prefix = parsePrefix("10.1.0.1/24");
    const address = parseIp("10.1.0.2");
    const route = { family: 4 as const, dst, oif: index, protocol: 112 };
    rtnl.execute([
      nl.newAddress({ index, prefix }),
      nl.newRoute(route),
      nl.newNeighbour({ index, address, lladdr }),
      nl.newFdb({ index, lladdr }),
      nl.newNexthop({ id: 7, family: 4, oif: index }),
      nl.deleteNexthop({ id: 7 }),
      nl.deleteFdb({ index, lladdr }),
      nl.deleteNeighbour({ index, address }),
      nl.deleteRoute(route),
      nl.deleteAddress({ index, prefix }),
      nl.deleteLink({ index }),
    ]);
    const isOurRoute = (change: RtnlEvent["change"]) => (entry: RtnlEvent | "resync") =>
      entry !== "resync" && entry.of === "route" && entry.change === change && entry.route.protocol === 112;
    const isOurFdb = (change: RtnlEvent["change"]) => (entry: RtnlEvent | "resync") =>
      entry !== "resync" && entry.of === "fdb" && entry.change === change && entry.fdb.lladdr === lladdr;
    await watch.next(is("address", "new"));
    await watch.next(isOurRoute("new"));
    await watch.next(is("neighbour", "new"));
    await watch.next(isOurFdb("new"));
    await watch.next(is("nexthop", "new"));
    await watch.next(is("nexthop", "delete"));
    await watch.next(isOurFdb("delete"));
    await watch.next(is("neighbour", "delete"));
    await watch.next(isOurRoute("delete"));
    await watch.next(is("address", "delete"));
    await watch.next(is("link", "delete"));
  });

  test("hears only what it asked for, and only of its own namespace", async () => {
    using ns = createUnnamedNetNs();
    using other = createUnnamedNetNs();
    using rtnl = Rtnl.open(ns);
    using elsewhere = Rtnl.open(other);
    using watch = watching(ns, { of: ["address"] });
    const bridge = nl.newLink({ name: "br", isUp: true, kind: { kind: "bridge" } });
    for (const [where, address] of [
      [elsewhere, "10.1.0.1/24"],
      [rtnl, "10.2.0.1/24"],
    ] as const) {
      where.execute(bridge);
      where.execute(nl.newAddress({ index: where.link("br")?.index ?? 0, prefix: parsePrefix(address) }));
    }
    const entry = await watch.next(() => true);
    assert.ok(entry !== "resync" && entry.of === "address");
    assert.equal(entry.address.prefix.address, "10.2.0.1");
  });

  test("a port that leaves its bridge is no link that goes", async () => {
    using ns = createUnnamedNetNs();
    using rtnl = Rtnl.open(ns);
    rtnl.execute([
      nl.newLink({ name: "br", isUp: true, kind: { kind: "bridge" } }),
      nl.newLink({ name: "a", kind: { kind: "veth", peer: { name: "b" } } }),
    ]);
    const [br, a] = [rtnl.link("br")?.index ?? 0, rtnl.link("a")?.index ?? 0];
    rtnl.execute(nl.setLink({ index: a, master: br }));
    using watch = watching(ns, { of: ["link"] });
    rtnl.execute(nl.setLink({ index: a, master: 0 }));
    rtnl.execute(nl.deleteLink({ index: br }));
    const gone = await watch.next(is("link", "delete"));
    assert.ok(gone !== "resync" && gone.of === "link");
    assert.equal(gone.link.name, "br");
  });

  test("says resync when announcements were lost, and announces on", async () => {
    using ns = createUnnamedNetNs();
    using rtnl = Rtnl.open(ns);
    rtnl.execute(nl.newLink({ name: "br", isUp: true, kind: { kind: "bridge" } }));
    const index = rtnl.link("br")?.index ?? 0;
    using watch = watching(ns, { of: ["neighbour", "link"], receiveBufferBytes: 4096 });
    const burst = Array.from({ length: 500 }, (_, i) =>
      nl.replaceNeighbour({ index, address: parseIp(`10.0.${i >> 8}.${i & 255}`), lladdr }),
    );
    // Twice: the watch must notice the second loss, too.
    for (const name of ["after1", "after2"]) {
      // The event loop does not turn while this runs, so the queue overflows.
      rtnl.execute(burst.map((request) => ({ ...request })));
      rtnl.execute(burst.map((_, i) => nl.deleteNeighbour({ index, address: parseIp(`10.0.${i >> 8}.${i & 255}`) })));
      await watch.next((entry) => entry === "resync");
      rtnl.execute(nl.newLink({ name, kind: { kind: "bridge" } }));
      await watch.next((entry) => entry !== "resync" && entry.of === "link" && entry.link.name === name);
    }
  });

  test("is silent once it is disposed, even for what is queued", async () => {
    using ns = createUnnamedNetNs();
    using rtnl = Rtnl.open(ns);
    const watch = watching(ns);
    rtnl.execute(nl.newLink({ name: "br", kind: { kind: "bridge" } }));
    watch[Symbol.dispose]();
    for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
    assert.deepEqual(watch.seen, []);
    watch[Symbol.dispose]();
  });

  test("rootless: the receive buffer is as large as an unprivileged socket's may be", () => {
    // SO_RCVBUFFORCE needs CAP_NET_ADMIN in the machine's own user namespace; without it SO_RCVBUF is used. Both are
    // exercised where this suite runs both ways; here: a wish far above net.core.rmem_max is no error in either.
    using ns = createUnnamedNetNs();
    watchRtnl(
      ns,
      () => {},
      () => {},
      { receiveBufferBytes: 64 * 1024 * 1024 },
    )[Symbol.dispose]();
  });
});

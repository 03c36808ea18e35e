// The connection itself, against the real kernel: errors, long lists, interrupted dumps, work on another thread.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { after, describe, test } from "node:test";
import { type IpAddress, parseIp, parseMac, parsePrefix } from "../formats/netip/index.ts";
import * as nl from "../formats/netlink/index.ts";
import { inNs, isNotFound, isUnsupported, readSysctl } from "./index.ts";
import { NETLINK_ROUTE, NetlinkSocket } from "./netlink.ts";
import { Namespaces, whyNoNetNs, withUnderlay } from "./testing/namespaces.ts";

const skip = whyNoNetNs();
const mac = parseMac;
const ip = parseIp;
const net = parsePrefix;

describe("Rtnl as a connection", { skip }, () => {
  const namespaces = new Namespaces();
  const fresh = () => namespaces.fresh();
  after(() => namespaces[Symbol.dispose]());

  test("an error says what was attempted, on what, the errno and the kernel's own words", () => {
    const { rtnl } = fresh();
    withUnderlay(rtnl);
    assert.throws(() => rtnl.execute(nl.newRoute({ family: 4, dst: net("10.1.0.0/16"), nexthopId: 99 })), {
      message: "Cannot add route 10.1.0.0/16 nhid 99: Invalid argument (EINVAL): Nexthop id does not exist",
    });
    assert.throws(
      () => rtnl.execute(nl.newLink({ name: "x0", kind: { kind: "other", name: "nosuchkind" } })),
      (error) => isUnsupported(error) && /Cannot add link x0: .*: Unknown device type$/.test(String(error)),
    );
    assert.throws(
      () => rtnl.execute(nl.newLink({ name: "sixteencharacter", kind: { kind: "bridge" } })),
      (error) => error instanceof Error && "extendedAck" in error && /ERANGE/.test(error.message),
    );
  });

  test("a listing larger than one datagram is whole; a thousand requests are carried out", () => {
    const { rtnl } = fresh();
    const index = withUnderlay(rtnl);
    const addresses: IpAddress[] = Array.from({ length: 1000 }, (_, i) => ip(`10.1.${i >> 8}.${i & 255}`));
    rtnl.execute(addresses.map((address) => nl.replaceNeighbour({ index, address, lladdr: mac("02:00:00:00:00:01") })));
    assert.deepEqual(
      rtnl
        .neighbours(index)
        .filter(({ state }) => state === nl.NUD_PERMANENT)
        .map(({ address }) => address)
        .sort(),
      [...addresses].sort(),
    );
  });

  test("a thousand errors in one call: each is told, none is lost", () => {
    const { rtnl } = fresh();
    const requests = Array.from({ length: 1000 }, (_, i) => nl.deleteNexthop({ id: i + 1 }));
    assert.throws(
      () => rtnl.execute(requests),
      (error) =>
        isNotFound(error) &&
        error instanceof Error &&
        "others" in error &&
        Array.isArray(error.others) &&
        error.others.length === 999,
    );
    rtnl.execute(requests, { tolerate: isNotFound });
  });

  test("a dump that the kernel really interrupts is flagged by it, and asked again by us", () => {
    // Links change between two reads of one dump. Our own connection reads it at once, so the first half is read here.
    const { ns, rtnl } = fresh();
    rtnl.execute(Array.from({ length: 60 }, (_, i) => nl.newLink({ name: `b${i}`, kind: { kind: "bridge" } })));
    const socket = NetlinkSocket.open(NETLINK_ROUTE, ns);
    try {
      socket.send(nl.encodeBatch([nl.dumpLinks()], 1));
      let flags = 0;
      let changed = false;
      for (let datagram = socket.receive(); datagram !== undefined; datagram = socket.receive()) {
        for (const message of nl.decodeMessages(datagram)) flags |= message.flags;
        if (!changed) rtnl.execute(nl.newLink({ name: "late", kind: { kind: "bridge" } }));
        changed = true;
      }
      assert.ok(flags & nl.NLM_F_DUMP_INTR, "NLM_F_DUMP_INTR");
    } finally {
      socket.close();
    }
    // That such a dump is asked again is tested with the fake kernel (rtnl.test.ts); here: the next one is whole.
    assert.equal(rtnl.links().length, 1 + 60 + 1);
  });

  test("deletes links off the event loop, which goes on meanwhile", async () => {
    const { rtnl } = fresh();
    rtnl.execute(
      Array.from({ length: 5 }, (_, i) =>
        nl.newLink({ name: `v${i}`, kind: { kind: "veth", peer: { name: `w${i}` } } }),
      ),
    );
    let turns = 0;
    let isDone = false;
    const turn = (): void => {
      turns++;
      if (!isDone) setImmediate(turn);
    };
    setImmediate(turn);
    const work = rtnl.executeAsync(nl.deleteLink({ name: "v0" })).finally(() => {
      isDone = true;
    });
    await work;
    // Done on this thread, all of it would have been one turn's microtasks.
    assert.ok(turns > 0, `${turns} turns`);
    assert.equal(rtnl.link("v0"), undefined);
    assert.equal(rtnl.link("w0"), undefined);
    await assert.rejects(rtnl.executeAsync(nl.deleteLink({ name: "v0" })), isNotFound);

    // On the same connection while the other thread is in the kernel: each gets its own answers.
    const more = rtnl.executeAsync(nl.deleteLink({ name: "v1" }));
    await new Promise(setImmediate);
    assert.ok(rtnl.link("v4"));
    await more;
    assert.equal(rtnl.link("v1"), undefined);
  });

  test("deletes many links by their group, and no other", async () => {
    const { rtnl } = fresh();
    rtnl.execute(
      Array.from({ length: 20 }, (_, i) =>
        nl.newLink({ name: `v${i}`, kind: { kind: "veth", peer: { name: `w${i}` } } }),
      ),
    );
    rtnl.execute(nl.newLink({ name: "stays", kind: { kind: "bridge" } }));
    const victims = rtnl.links().filter(({ name }) => name.startsWith("v"));
    assert.equal(victims.length, 20);
    rtnl.execute(victims.map(({ index }) => nl.setLink({ index, group: 77 })));
    await rtnl.executeAsync(nl.deleteLink({ group: 77 }));
    assert.deepEqual(
      rtnl.links().map(({ name }) => name),
      ["lo", "stays"],
    );
    await assert.rejects(rtnl.executeAsync(nl.deleteLink({ group: 77 })), { code: "ENODEV" });
  });

  test("tells by the namespace's id where a link's other end is, and sets arp_notify by netlink", () => {
    const { rtnl, ns } = fresh();
    const [other, third] = [fresh(), fresh()];
    rtnl.execute(nl.newLink({ name: "v", kind: { kind: "veth", peer: { name: "w", netnsFd: other.ns.fd } } }));
    const { link, namespaceId } = other.rtnl.linkAndNamespaceId("w", ns);
    assert.ok(link);
    assert.equal(link.link, rtnl.link("v")?.index);
    assert.notEqual(namespaceId, undefined);
    assert.equal(namespaceId, link.linkNetnsId);
    assert.equal(other.rtnl.linkAndNamespaceId("w", third.ns).namespaceId, undefined);
    assert.equal(third.rtnl.linkAndNamespaceId("w", ns).link, undefined);
    other.rtnl.execute(nl.setLink({ index: link.index, arpNotify: true }));
    assert.equal(readSysctl("net/ipv4/conf/w/arp_notify", other.ns), "1");
  });

  test("a connection stays in the namespace it was opened in", () => {
    const { rtnl } = fresh();
    const other = fresh();
    rtnl.execute(nl.newLink({ name: "mine", kind: { kind: "bridge" } }));
    const names = inNs(other.ns, () => rtnl.links().map(({ name }) => name));
    assert.deepEqual(names, ["lo", "mine"]);
  });

  test("process.exit() ends a process whose other thread is in the kernel", () => {
    const code = `
      import { createUnnamedNetNs, Rtnl } from "${new URL("index.js", import.meta.url).href}";
      import { deleteLink, newLink } from "${new URL("../formats/netlink/index.js", import.meta.url).href}";
      const rtnl = Rtnl.open(createUnnamedNetNs());
      rtnl.execute(newLink({ name: "v", kind: { kind: "veth", peer: { name: "w" } } }));
      rtnl.executeAsync(deleteLink({ name: "v" }));
      setImmediate(() => process.exit(3));`;
    const run = spawnSync(process.execPath, ["--input-type=module", "-e", code], { encoding: "utf8", timeout: 60_000 });
    assert.deepEqual([run.status, run.signal, run.stderr], [3, null, ""]);
  });

  test("a connection that was closed fails, and never uses a descriptor that is somebody else's by now", () => {
    const { rtnl } = fresh();
    rtnl[Symbol.dispose]();
    assert.throws(() => rtnl.links(), { code: "EBADF" });
  });
});

// From leases in the store to peers in the kernel: a node that starts, a burst, one new lease until its first ping is
// answered, and what the daemon costs meanwhile; beside Flannel's own daemon on the same store, in turns.
import { existsSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { parseIp, parseMac, parsePrefix } from "../dist/formats/netip/index.js";
import * as netlink from "../dist/formats/netlink/index.js";
import { createUnnamedNetNs, EchoSocket, inNs, Rtnl } from "../dist/kernel/index.js";
import { Arena, FLANNELD, leaseOf, leaseValue, podOf } from "./leases-arena.mjs";
import { median, quantile } from "./statistics.mjs";

export const AIMS = { 5000: 500, 20000: 1500, newLeaseP99: 20, rssMegabytes: 80, idlePercent: 0.2 };
/** etcd takes 128 operations a transaction. */
const OPS = 128;
/** Leases beside the one that is new, and of the daemon that is idle. */
const OTHERS = 1000;
const ANSWERING = { address: "172.16.0.9", mac: "02:99:00:00:00:09" };
const CONFIG = '{"Network":"10.0.0.0/8","SubnetMin":"10.200.0.0","SubnetMax":"10.250.0.0","Backend":{"Type":"vxlan"}}';
const PATIENCE_MS = 300_000;

/** Why Flannel's daemon is not measured; undefined: it is. */
export function whyNoFlanneld() {
  if (existsSync(FLANNELD)) return undefined;
  return existsSync(`${FLANNELD}.why`) ? readFileSync(`${FLANNELD}.why`, "utf8") : "it was not built";
}

/** @param {import("./options.mjs").Options} options @param {(text: string) => void} progress @param {AbortSignal} signal */
export async function measureLeases(options, progress, signal) {
  if (process.getuid() !== 0) throw new Error("Cannot measure leases: it needs root, for network namespaces");
  const flannel = whyNoFlanneld();
  const names = ["podpath", ...(flannel === undefined ? ["flanneld"] : [])];
  const kind = options.embedded ? "embedded" : "etcd";
  const result = { flannel, store: kind, sizes: [], limit: [] };
  for (const count of options.leases) {
    progress(`leases: the kernel alone, ${count} peers`);
    result.limit.push({ count, milliseconds: kernelAlone(count) });
    const rounds = options.leaseRounds;
    const samples = Object.fromEntries(names.map((name) => [name, { start: [], burst: [], lag: [] }]));
    const puts = [];
    for (let round = 0; round < rounds; round++)
      for (const name of round % 2 === 0 ? names : names.toReversed()) {
        // Half a minute each; its figure is not needed that exactly.
        if (name === "flanneld" && count > 5000 && round > 0) continue;
        signal.throwIfAborted();
        progress(`leases: ${count}, ${name}, round ${round + 1} of ${rounds}`);
        const one = await inArena(kind, (arena) => startAndBurst(arena, name, count, signal));
        for (const key of ["start", "burst", "lag"]) samples[name][key].push(one[key]);
        puts.push(one.puts);
      }
    result.sizes.push({ count, puts: median(puts), samples });
  }
  progress("leases: one new lease until its first ping");
  result.newLease = await inArena(kind, (arena) => newLeases(arena, names, options, progress, signal));
  result.cost = await inArena(kind, (arena) => costs(arena, names, options, progress, signal));
  return result;
}

/** The same peers by raw netlink: what no daemon can be faster than. */
function kernelAlone(count) {
  const ns = createUnnamedNetNs();
  const rtnl = Rtnl.open(ns);
  try {
    return measureKernel(rtnl, count);
  } finally {
    rtnl[Symbol.dispose]();
    ns.close();
  }
}

function measureKernel(rtnl, count) {
  rtnl.execute(netlink.newLink({ name: "eth0", kind: { kind: "veth", peer: { name: "wire" } }, isUp: true }));
  rtnl.execute(netlink.setLink({ name: "wire", isUp: true }));
  const link = rtnl.link("eth0").index;
  rtnl.execute(netlink.newAddress({ index: link, prefix: parsePrefix("172.16.0.1/12") }));
  const kind = { kind: "vxlan", id: 1, link, local: parseIp("172.16.0.1"), port: 8472, learning: false };
  rtnl.execute(netlink.newLink({ name: "flannel.1", kind, isUp: true }));
  const index = rtnl.link("flannel.1").index;
  rtnl.execute(netlink.newAddress({ index, prefix: parsePrefix("10.200.0.0/32") }));
  const measure = (spellRoute) => {
    const requests = [];
    for (let n = 0; n < count; n++) {
      const [key, value] = leaseOf("", n);
      const dst = parsePrefix(key.slice("/subnets/".length).replace("-", "/"));
      const { PublicIP, BackendData } = JSON.parse(value);
      const lladdr = parseMac(BackendData.VtepMAC);
      requests.push(
        netlink.replaceNeighbour({ index, address: dst.address, lladdr }),
        netlink.replaceFdb({ index, lladdr, dst: parseIp(PublicIP) }),
        ...spellRoute({ family: 4, dst, gateway: dst.address, oif: index, onlink: true }, n + 1),
      );
    }
    const start = performance.now();
    rtnl.execute(requests);
    return performance.now() - start;
  };
  const byNexthop = ({ dst, ...way }, id) => [
    netlink.newNexthop({ id, ...way }),
    netlink.newRoute({ family: 4, dst, nexthopId: id }),
  ];
  const objects = measure(byNexthop);
  rtnl.execute(netlink.deleteLink({ index }));
  rtnl.execute(netlink.newLink({ name: "flannel.1", index, kind, isUp: true }));
  rtnl.execute(netlink.newAddress({ index, prefix: parsePrefix("10.200.0.0/32") }));
  const plain = measure((route) => [netlink.newRoute(route)]);
  return { objects, plain };
}

async function startAndBurst(arena, name, count, signal) {
  const node = arena.node("172.16.0.11");
  await arena.store.put("/bench/config", CONFIG);
  const before = await putLeases(arena.store, "/bench", count);
  const first = arena.daemon(node, name, "/bench");
  const start = (await allThere(node, count, first, signal)) - first.started;
  await first.ready;
  await deleteLeases(arena.store, "/bench", count);
  await allThere(node, 0, first, signal);
  const burstStart = performance.now();
  const putting = putLeases(arena.store, "/bench", count).then(() => performance.now());
  const [putsEnd, burstEnd] = await Promise.all([putting, allThere(node, count, first, signal)]);
  await first.stop();
  return { start, puts: before, burst: burstEnd - burstStart, lag: burstEnd - putsEnd };
}

async function inArena(kind, measure) {
  const arena = await Arena.open(kind);
  try {
    return await measure(arena);
  } finally {
    await arena.close();
  }
}

/** @returns {Promise<number>} how long the store took */
async function putLeases(store, prefix, count) {
  const start = performance.now();
  await inBatches(
    count,
    (n) => {
      const [key, value] = leaseOf(prefix, n);
      return { op: "put", key, value };
    },
    store,
  );
  return performance.now() - start;
}

function deleteLeases(store, prefix, count) {
  return inBatches(count, (n) => ({ op: "delete", key: leaseOf(prefix, n)[0] }), store);
}

async function inBatches(count, opOf, store) {
  const batches = Array.from({ length: Math.ceil(count / OPS) }, (_, i) =>
    Array.from({ length: Math.min(OPS, count - i * OPS) }, (_, j) => opOf(i * OPS + j)),
  );
  const next = async () => {
    for (let ops = batches.shift(); ops; ops = batches.shift()) await store.txn({ compare: [], success: ops });
  };
  await Promise.all([next(), next(), next(), next()]);
}

/** When every one of the first `count` peers is in the kernel, and none more. Looks at a few, then at all. */
async function allThere(node, count, daemon, signal) {
  const sample =
    count === 0 ? [0] : [...new Set(Array.from({ length: 16 }, (_, i) => Math.floor((i * (count - 1)) / 15)))];
  const until = performance.now() + PATIENCE_MS;
  for (;;) {
    signal.throwIfAborted();
    if (performance.now() > until) throw new Error(`not ${count} peers in time: ${daemon.said().slice(-1000)}`);
    const index = node.rtnl.link("flannel.1")?.index;
    const now = performance.now();
    const isThere = (n) => {
      const route = node.rtnl.routeTo(podOf(n));
      return index !== undefined && route?.oif === index;
    };
    if (index !== undefined && sample.every((n) => isThere(n) === count > 0) && isComplete(node.rtnl, index, count))
      return now;
    await Promise.race([sleep(4), daemon.failed]);
  }
}

function isComplete(rtnl, index, count) {
  const routes = rtnl.routes({ oif: index }).filter(({ gateway, onlink }) => gateway && onlink).length;
  if (routes !== count) return false;
  const permanent = ({ state }) => state === netlink.NUD_PERMANENT;
  return (
    rtnl.neighbours(index).filter(permanent).length === count &&
    rtnl.fdb(index).filter(({ dst }) => dst).length === count
  );
}

/** One lease of a node that answers, put and deleted again, with so many others there. */
async function newLeases(arena, names, options, progress, signal) {
  const answering = arena.answeringNode(ANSWERING.address, ANSWERING.mac);
  const sides = [];
  for (const [i, name] of names.entries()) {
    const prefix = `/bench/${name}`;
    const node = arena.node(`172.16.0.${11 + i}`);
    await arena.store.put(`${prefix}/config`, CONFIG);
    await putLeases(arena.store, prefix, OTHERS);
    const daemon = arena.daemon(node, name, prefix);
    await daemon.ready;
    await allThere(node, OTHERS, daemon, signal);
    const own = (await arena.store.list(`${prefix}/subnets/`)).kvs.find(({ valueText }) =>
      valueText.includes(`"${node.address}"`),
    );
    const subnet = own.key.slice(`${prefix}/subnets/`.length).replace("-", "/");
    const vtepMac = JSON.parse(own.valueText).BackendData.VtepMAC;
    answering.knows({ subnet, vtepMac, address: node.address });
    sides.push({ name, prefix, node, daemon, samples: [], puts: [] });
  }
  const key = "10.0.0.0-24";
  const value = leaseValue(ANSWERING.address, ANSWERING.mac);
  for (let round = -3; round < options.newLeases; round++) {
    if (round % 10 === 0) progress(`leases: new lease ${round} of ${options.newLeases}`);
    for (const side of sides) {
      signal.throwIfAborted();
      const { milliseconds, put } = await putUntilPing(arena.store, side, `${side.prefix}/subnets/${key}`, value);
      if (round >= 0) {
        side.samples.push(milliseconds);
        side.puts.push(put);
      }
    }
  }
  for (const { daemon } of sides) await daemon.stop();
  const figures = (samples) => ({ p50: median(samples), p99: quantile(samples, 0.99), samples });
  return {
    others: OTHERS,
    count: options.newLeases,
    daemons: Object.fromEntries(
      sides.map(({ name, samples, puts }) => [name, { ...figures(samples), put: median(puts) }]),
    ),
  };
}

async function putUntilPing(store, { node }, key, value) {
  const to = parseIp("10.0.0.1");
  let answered;
  const reply = new Promise((resolve) => {
    answered = resolve;
  });
  const echo = inNs(node.ns, () => EchoSocket.open(to, () => answered(performance.now())));
  let timer;
  try {
    let sequence = 0;
    const ping = () => {
      try {
        echo.send({ identifier: process.pid & 0xffff, sequence: ++sequence & 0xffff, payload: new Uint8Array(8) });
      } catch {
        // No way there yet.
      }
    };
    const start = performance.now();
    const putting = store.put(key, value).then(() => performance.now() - start);
    timer = setInterval(ping, 1);
    const end = await reply;
    const put = await putting;
    clearInterval(timer);
    await store.delete(key);
    while (node.rtnl.routes({ oif: node.rtnl.link("flannel.1").index }).some(({ dst }) => dst?.address === "10.0.0.0"))
      await sleep(5);
    await sleep(60);
    return { milliseconds: end - start, put };
  } finally {
    clearInterval(timer);
    echo[Symbol.dispose]();
  }
}

/** Memory and processor time of a daemon that has nothing to do. */
async function costs(arena, names, options, progress, signal) {
  const variants = names.flatMap((name) =>
    name === "podpath"
      ? [
          { name, what: "podpath", args: ["--gateway=false"] },
          { name, what: "podpath, with gateway and --healthz-port", args: ["--ip-masq", "--healthz-port", "10256"] },
        ]
      : [{ name, what: "flanneld", args: ["-ip-masq", "-healthz-port", "10256"] }],
  );
  await arena.store.put("/bench/config", CONFIG);
  await putLeases(arena.store, "/bench", OTHERS);
  const running = [];
  for (const [i, { name, what, args }] of variants.entries()) {
    const node = arena.node(`172.16.0.${11 + i}`);
    const daemon = arena.daemon(node, name, "/bench", args);
    await daemon.ready;
    running.push({ what, node, daemon });
  }
  await sleep(options.settleSeconds * 1000, undefined, { signal });
  const before = running.map(({ daemon }) => cpuSeconds(daemon.pid));
  for (let second = 0; second < options.idleSeconds; second += 5) {
    progress(`leases: idle for ${second} of ${options.idleSeconds} s`);
    await sleep(Math.min(5, options.idleSeconds - second) * 1000, undefined, { signal });
  }
  const result = running.map(({ what, daemon }, i) => ({
    what,
    rssMegabytes: rssMegabytes(daemon.pid),
    idlePercent: (100 * (cpuSeconds(daemon.pid) - before[i])) / options.idleSeconds,
  }));
  for (const { daemon } of running) await daemon.stop();
  return { leases: OTHERS, seconds: options.idleSeconds, daemons: result };
}

function rssMegabytes(pid) {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]) / 1024;
}

function cpuSeconds(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

// What leases.mjs measured, as text.
import { median, quantile } from "./statistics.mjs";

/**
 * @param {Awaited<ReturnType<typeof import("./leases.mjs").measureLeases>>} result
 * @param {typeof import("./leases.mjs").AIMS} aims
 */
export function leasesText({ store, flannel, sizes, limit, newLease, cost }, aims) {
  const row = (...cells) => `  ${cells.map((cell, i) => cell.padEnd(i === 0 ? 14 : 22)).join("")}`.trimEnd();
  const names = Object.keys(newLease.daemons);
  const ms = (samples) => (samples.length === 0 ? "-" : `${Math.round(median(samples))}`);
  const table = (title, key) => [
    row(title, ...names, ...(names.length > 1 ? ["podpath / flanneld"] : [])),
    ...sizes.map(({ count, samples }) => {
      const figures = names.map((name) => ms(samples[name][key]));
      const ratio = names.length > 1 ? [(median(samples.podpath[key]) / median(samples.flanneld[key])).toFixed(2)] : [];
      return row(count.toLocaleString("en"), ...figures, ...ratio);
    }),
    "",
  ];
  return [
    `leases: a node beside ${sizes.map(({ count }) => count.toLocaleString("en")).join(", ")} leases in ${store === "etcd" ? "etcd" : "the embedded store"}; ms, medians`,
    "",
    ...table("start", "start"),
    ...table("burst", "burst"),
    ...table("lag", "lag"),
    row("kernel alone", "by nexthop object", "plain routes", "the store takes"),
    ...limit.map(({ count, milliseconds }, i) =>
      row(
        count.toLocaleString("en"),
        milliseconds.objects.toFixed(0),
        milliseconds.plain.toFixed(0),
        sizes[i].puts.toFixed(0),
      ),
    ),
    "",
    `  start: from executing the daemon, with the leases there, until every route, neighbour and FDB entry is in the kernel.`,
    `  burst: the same from before the first of the leases is put, while the daemon runs; lag: from when the last is in the store.`,
    `  kernel alone: the same objects by raw netlink, in one go. The store is on tmpfs.`,
    "",
    row(`1 of ${newLease.others}`, ...names),
    row(
      "p50 (p99)",
      ...names.map((name) => `${newLease.daemons[name].p50.toFixed(1)} (${newLease.daemons[name].p99.toFixed(1)})`),
    ),
    row("put alone", ...names.map((name) => newLease.daemons[name].put.toFixed(1))),
    `  From putting one lease more until the first ping of its node, which answers, is answered; ${newLease.count} times in turns.`,
    "",
    ...cost.daemons.map(
      ({ what, rssMegabytes, idlePercent }) =>
        `  ${what.padEnd(44)}${rssMegabytes.toFixed(0)} MB resident, ${idlePercent.toFixed(2)} % of a CPU`,
    ),
    `  With ${cost.leases} leases and nothing to do, over ${cost.seconds} s.`,
    "",
    `  Aims: ${verdicts({ sizes, newLease, cost }, aims).join("; ")}.`,
    ...(flannel === undefined ? [] : [`  Without Flannel's daemon: ${flannel}`]),
  ].join("\n");
}

function verdicts({ sizes, newLease, cost }, aims) {
  const verdict = (what, value, limit, unit) =>
    `${what} at most ${limit} ${unit}: ${value.toFixed(limit < 1 ? 2 : 0)}, ${value <= limit ? "met" : "MISSED"}`;
  return [
    ...sizes.flatMap(({ count, samples }) =>
      aims[count] === undefined
        ? []
        : [
            verdict(`start with ${count.toLocaleString("en")}`, median(samples.podpath.start), aims[count], "ms"),
            verdict(`burst of ${count.toLocaleString("en")}`, median(samples.podpath.burst), aims[count], "ms"),
          ],
    ),
    verdict("a new lease, p99,", quantile(newLease.daemons.podpath.samples, 0.99), aims.newLeaseP99, "ms"),
    ...cost.daemons
      .filter(({ what }) => what.startsWith("podpath"))
      .flatMap(({ what, rssMegabytes, idlePercent }) => [
        verdict(`${what}:`, rssMegabytes, aims.rssMegabytes, "MB"),
        verdict(`${what}:`, idlePercent, aims.idlePercent, "%"),
      ]),
  ];
}

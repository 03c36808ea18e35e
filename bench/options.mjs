// The command line of the benchmarks. Knows nothing of what is measured, so that a mistake is told before any set-up.
import { parseArgs } from "node:util";

export const USAGE = `usage: npm run bench [-- [datapath] [cni] [udp] [leases] [options]]

  datapath        pod and host paths beside host → host: iperf3, TCP_RR, UDP_RR, TCP_CRR
  cni             CNI ADD and DEL beside the reference plugins
  udp             the udp backend beside Flannel's, kernel VXLAN and host → host
  leases          leases in etcd until every peer is in the kernel, beside Flannel's own daemon; memory, idle CPU
  (datapath and cni when none is named)

  --rounds N      rounds of the datapath and udp benchmarks, 3 to 100 (default 9; a round to warm up comes on top)
  --calls N       ADDs and DELs of the cni benchmark, 20 to 2000 (default 120)
  --two-cpus      client on CPU 0 and server on CPU 1, instead of both on CPU 0
  --quick         fewer rounds and calls, under a minute: enough to see whether it works, not to compare
  --embedded      leases in the embedded store instead of etcd
  --reference DIR the reference plugins (default /usr/lib/cni)
  --json          results as JSON on standard output, nothing else there
  --help`;

const SUITES = ["datapath", "cni", "udp", "leases"];
/** The others make clusters of their own, as root. */
const USUAL = ["datapath", "cni"];
const FULL = {
  ...{ rounds: 9, calls: 120, milliseconds: 300, streamSeconds: 1 },
  ...{ leases: [100, 1000, 5000, 20_000], leaseRounds: 5, newLeases: 200, settleSeconds: 30, idleSeconds: 60 },
};
const QUICK = {
  ...{ rounds: 3, calls: 40, milliseconds: 100, streamSeconds: 1 },
  ...{ leases: [100, 1000], leaseRounds: 1, newLeases: 20, settleSeconds: 15, idleSeconds: 5 },
};

/** A command line that cannot be obeyed; the message says what to write instead. */
export class UsageError extends Error {
  name = "UsageError";
}

/**
 * @typedef {object} Options
 * @property {string[]} suites
 * @property {number} rounds
 * @property {number} calls
 * @property {number} milliseconds how long one ping-pong measurement lasts
 * @property {number} streamSeconds
 * @property {number[]} leases how many there are
 * @property {number} leaseRounds
 * @property {number} newLeases
 * @property {number} settleSeconds before a daemon counts as idle
 * @property {number} idleSeconds
 * @property {boolean} embedded
 * @property {boolean} twoCpus
 * @property {boolean} quick
 * @property {boolean} json
 * @property {boolean} help
 * @property {string} reference
 */

/** @param {readonly string[]} args @returns {Options} @throws {UsageError} */
export function parseOptions(args) {
  const { values, positionals } = parse(args);
  const unknown = positionals.find((name) => !SUITES.includes(name));
  if (unknown !== undefined)
    throw new UsageError(`No benchmark is called "${unknown}"; there are ${SUITES.join(", ")}`);
  const size = values.quick ? QUICK : FULL;
  return {
    suites: positionals.length === 0 ? USUAL : SUITES.filter((name) => positionals.includes(name)),
    ...size,
    rounds: count("--rounds", values.rounds, 3, 100) ?? size.rounds,
    calls: count("--calls", values.calls, 20, 2000) ?? size.calls,
    twoCpus: values["two-cpus"],
    embedded: values.embedded,
    quick: values.quick,
    json: values.json,
    help: values.help,
    reference: values.reference,
  };
}

function parse(args) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        rounds: { type: "string" },
        calls: { type: "string" },
        "two-cpus": { type: "boolean", default: false },
        embedded: { type: "boolean", default: false },
        quick: { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
        reference: { type: "string", default: "/usr/lib/cni" },
      },
    });
  } catch (error) {
    throw new UsageError(error.message.split(". ")[0]);
  }
}

function count(option, text, least, most) {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < least || value > most)
    throw new UsageError(`${option} wants a whole number from ${least} to ${most}, not "${text}"`);
  return value;
}

// The status as a person reads it: what is wrong stands in the cell it is wrong in, and once more in plain words below.
import { cellsOf, exitCodeOf, isRight, type NodeStatus, type PeerStatus } from "../agent/index.ts";
import { formatTable } from "../lab/index.ts";

export function formatStatus(status: NodeStatus): string {
  const blocks = [
    formatTable(aboutNode(status)),
    formatTable([
      ["", "CHECK", "STATE"],
      ...status.checks.map(({ of, verdict, why }) => ["", of, why ? `${mark(verdict)}: ${why}` : mark(verdict)]),
    ]),
    status.peers.length > 0 ? formatTable(peerRows(status.peers)) : "no peers",
    ...(status.stale.length > 0 ? [`stale, ours and wanted by nobody: ${status.stale.join(", ")}`] : []),
    ...status.peers.flatMap((peer) => (peer.inTheWay === undefined ? [] : [`${nameOf(peer)}: ${peer.inTheWay}`])),
    ...(status.notes.length > 0 ? [status.notes.map((note) => `note: ${note}`).join("\n")] : []),
    verdictOf(status),
  ];
  return blocks.join("\n\n");
}

function aboutNode(status: NodeStatus): string[][] {
  const { agent, store, lease } = status;
  const subnets = [lease?.subnet, lease?.ipv6Subnet].filter((subnet) => subnet !== undefined).join(" ");
  const expiry = lease?.expiresAt === undefined ? "" : `, expires ${lease.expiresAt}`;
  const addresses = [status.publicIp, status.publicIpv6].filter((ip) => ip !== undefined).join(" ");
  return [
    ["node", status.node],
    ["agent", agentText(agent)],
    ...(status.backend === undefined
      ? []
      : [
          [
            "backend",
            [status.backend, ...status.devices, ...(status.mtuBytes ? [`MTU ${status.mtuBytes}`] : [])].join(" "),
          ],
        ]),
    ...(status.interface === undefined ? [] : [["interface", `${status.interface} ${addresses}`.trim()]]),
    ["lease", subnets === "" ? "none" : `${subnets}${expiry}`],
    [
      "store",
      `${store.connected ? "connected" : "NOT CONNECTED"} ${store.endpoints.join(",")}${store.lastError && !store.connected ? `: ${store.lastError}` : ""}`,
    ],
    ...(store.skippedLeases
      ? [["", `${store.skippedLeases} keys or values that are no leases; the log names them`]]
      : []),
    [
      "seen by",
      status.seenBy === "agent" ? "the agent, with the leases it holds" : "this command, with the store's leases",
    ],
  ];
}

function agentText({ state, pid, notReady, failures = [] }: NodeStatus["agent"]): string {
  const who = pid === undefined ? "" : ` (pid ${pid})`;
  if (state === "not running") return "NOT RUNNING: nobody repairs this node";
  if (state === "unknown") return "unknown";
  if (state === "silent") return `DOES NOT ANSWER${who}`;
  return `running${who}${notReady === undefined ? ", ready" : `, NOT READY: ${notReady}`}${failures.map((failure) => `; ${failure}`).join("")}`;
}

function peerRows(peers: readonly PeerStatus[]): string[][] {
  return [
    ["SUBNET", "PUBLIC IP", "VTEP MAC", "ROUTE", "NEIGHBOUR", "FDB"],
    ...peers.map((peer) => [
      nameOf(peer),
      [peer.publicIp, peer.publicIpv6].filter((ip) => ip !== undefined && ip !== "0.0.0.0").join(" "),
      peer.vtepMac ?? "-",
      ...cellsOf(peer).map((cell) => (isRight(cell) ? cell : `! ${cell}`)),
    ]),
  ];
}

function nameOf({ subnet, ipv6Subnet }: PeerStatus): string {
  return [subnet, ipv6Subnet].filter((prefix) => prefix !== undefined).join(" ");
}

function mark(verdict: string): string {
  return verdict === "ok" ? "ok" : verdict === "drift" ? "! drift" : "? unknown";
}

function verdictOf(status: NodeStatus): string {
  const { peers, stale, checks } = status;
  const wrong =
    peers.filter((peer) => peer.inTheWay !== undefined || cellsOf(peer).some((cell) => !isRight(cell))).length +
    checks.filter(({ verdict }) => verdict === "drift").length +
    stale.length;
  const code = exitCodeOf(status);
  if (code === 0) return "all as the leases say";
  return code === 1
    ? `DRIFT: ${wrong} of this node's parts are not as they should be`
    : "CANNOT TELL: see what is unknown above";
}

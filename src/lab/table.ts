// `lab ps` for people.
import type { DaemonInfo, LabInfo } from "./messages.ts";

/** Columns as wide as their widest cell, two spaces apart. */
export function formatTable(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  return rows
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

export function formatLab(info: LabInfo): string {
  return [
    `lab ${info.name}: ${info.state} since ${info.since}${info.rootless ? ", rootless" : ""}`,
    `store (${info.store.kind}): ${formatDaemon(info.store)}, ${info.store.endpoint} in the lab, ${info.store.unix} from here`,
    "",
    formatTable([
      ["NODE", "ROLE", "ADDRESSES", "SUBNET", "AGENT"],
      ...info.nodes.map((node) => [
        ...[node.name, node.role, node.addresses.join(" "), node.subnet ?? "-"],
        node.agent ? formatDaemon(node.agent) : "-",
      ]),
    ]),
    "",
    formatTable([
      ["POD", "NODE", "IP", "CONTAINERS"],
      ...info.pods.map((pod) => [
        ...[pod.namespace === "default" ? pod.name : `${pod.namespace}/${pod.name}`, pod.node, pod.ips.join(" ")],
        pod.containers
          .map(({ name, state, ports }) => {
            const numbers = [...new Set(ports.map(({ port }) => port))];
            return `${name}${numbers.length > 0 ? `:${numbers.join(",")}` : ""}${state === "ended" ? " (ended)" : ""}`;
          })
          .join(" "),
      ]),
    ]),
    "",
    formatTable([
      ["SERVICE", "CLUSTER-IP", "PORTS", "ENDPOINTS"],
      ...info.services.map((service) => [
        ...[service.name, service.clusterIPs.join(" ") || "None"],
        service.ports
          .map(({ protocol, port, nodePort }) => `${port}${nodePort === undefined ? "" : `:${nodePort}`}/${protocol}`)
          .join(" "),
        formatEndpoints(service.endpoints),
      ]),
    ]),
  ].join("\n");
}

/** As many as a line can hold; `--json` has them all. */
function formatEndpoints(endpoints: readonly string[]): string {
  if (endpoints.length === 0) return "none";
  const shown = endpoints.slice(0, 4).join(" ");
  return endpoints.length > 4 ? `${shown} and ${endpoints.length - 4} more` : shown;
}

function formatDaemon({ state, pid, restarts, lastExit }: DaemonInfo): string {
  const history = restarts > 0 ? `, ${restarts} restart${restarts === 1 ? "" : "s"}` : "";
  const why = state !== "running" && lastExit !== undefined ? ` (${lastExit})` : "";
  return `${state}${pid === undefined ? "" : ` ${pid}`}${why}${history}`;
}

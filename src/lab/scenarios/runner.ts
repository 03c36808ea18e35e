// Plays the scenarios, one after another, and compares each with its walk. Runs inside the lab, as a process of its own: what
// goes wrong here does not take the lab along.
import { randomBytes } from "node:crypto";
import { type Hop, type ProbeProtocol, WALKS, type Walk } from "../../model/index.ts";
import { compare, hopTable, hopToJson, Observer, toPcapng } from "../../trace/index.ts";
import { reasonOf } from "../errors.ts";
import type { LabInfo } from "../messages.ts";
import type { FromRunner, ScenarioResult, ScenariosRequest } from "./messages.ts";
import { observedNamespaces } from "./namespaces.ts";
import { planScenario, type ScenarioPlan } from "./plan.ts";
import { runProbe } from "./probe.ts";

interface Trace {
  readonly title: string;
  readonly hops: readonly Hop[];
}

export async function runScenarios(request: ScenariosRequest, say: (message: FromRunner) => void): Promise<void> {
  const { info, only, protocols, columns } = request;
  const traces: Trace[] = [];
  using observer = Observer.open(
    observedNamespaces(info),
    info.rootless ? { withoutTracefs: "they belong to the machine's root, and this lab is rootless" } : {},
  );
  for (const walk of WALKS.filter(({ number }) => only.length === 0 || only.includes(number)))
    for (const protocol of protocols) {
      const plan = planScenario(walk.number, protocol, info);
      if (typeof plan === "string") {
        say({ type: "skipped", number: walk.number, title: walk.title, reason: plan });
        continue;
      }
      const { result, hops } = await play(walk, protocol, plan, observer, request, traces.length);
      traces.push({ title: `${walk.number} ${walk.title}, ${protocol}`, hops });
      say({ type: "scenario", result, table: hopTable(hops, { columns }) });
    }
  if (request.pcapng) say({ type: "pcapng", base64: Buffer.from(toPcapng(traces)).toString("base64") });
  say({ type: "done" });
}

async function play(
  walk: Walk,
  protocol: ProbeProtocol,
  plan: ScenarioPlan,
  observer: Observer,
  { info, probe }: ScenariosRequest,
  count: number,
): Promise<{ result: ScenarioResult; hops: readonly Hop[] }> {
  const id = randomBytes(6).toString("hex");
  // A length that no other packet has: the kernel's tracepoints can be filtered by nothing better.
  const bytes = 101 + 6 * count;
  const { hops, evidence, unavailable, error } = await observer.observe({
    match: {
      protocol,
      request: `podpath-ping ${id}`,
      reply: `${protocol === "icmp" ? "podpath-ping" : "podpath-pong"} ${id}`,
      port: plan.probe.port,
      requestBytes: bytes,
      replyBytes: bytes,
    },
    run: () => runProbe(probe, plan.probe, protocol, { id, bytes }),
  });
  const differences = compare(hops, walk, plan.cast(answeredBy(hops, info)));
  const legs = (leg: "request" | "reply"): ScenarioResult["request"] => ({
    hops: hops.filter((hop) => hop.leg === leg).map(hopToJson),
  });
  const { number, name, title } = walk;
  return {
    hops,
    result: {
      ...{ number, name, title, protocol },
      ok: differences.length === 0 && error === undefined,
      from: plan.probe.from,
      to: protocol === "icmp" ? plan.probe.host : `${plan.probe.host} port ${plan.probe.port}`,
      ...{ request: legs("request"), reply: legs("reply"), differences, evidence, unavailable },
      ...(error === undefined ? {} : { error: reasonOf(error) }),
    },
  };
}

/** The pod where the request ended. */
function answeredBy(hops: readonly Hop[], info: LabInfo): string | undefined {
  const last = hops.filter(({ leg }) => leg === "request").at(-1);
  return info.pods.find(({ name }) => name === last?.netns)?.name;
}

import { LabError } from "../errors.ts";
import { runInLab } from "../in-lab.ts";
import type { ManifestFile } from "../manifest.ts";
import type { LabSpec } from "../messages.ts";
import { clockEnvironment } from "./clock.ts";
import { FAULT_KINDS, LIE_KINDS } from "./faults.ts";
import type { FromSoak, SoakRequest, SoakResult } from "./messages.ts";

/** @throws {LabError} when there is no such fault */
export function requireFaults(kinds: readonly string[]): void {
  const unknown = kinds.find((kind) => ![...FAULT_KINDS, ...LIE_KINDS].includes(kind));
  if (unknown !== undefined)
    throw new LabError(`try the fault ${JSON.stringify(unknown)}`, {
      reason: "there is none",
      advice: `there are ${FAULT_KINDS.join(", ")}`,
    });
}

/** The lab for a soak: two pods on the first node and one on each other, and clocks that can be set. */
export function soakLab(name: string, nodes: number, etcd: boolean): { spec: LabSpec; hasClocks: boolean } {
  const places = [1, ...Array.from({ length: nodes }, (_, i) => i + 1)];
  const pods = places.map((node, i) => ({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: `pod-${i + 1}`, labels: { app: "soak" } },
    spec: {
      nodeName: `node${node}`,
      containers: [{ name: "c0", ports: [{ containerPort: 8080 }, { containerPort: 8080, protocol: "UDP" }] }],
    },
  }));
  const service = {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "soak" },
    spec: { selector: { app: "soak" }, ports: [{ port: 80, targetPort: 8080 }] },
  };
  const text = [...pods, service].map((object) => JSON.stringify(object)).join("\n---\n");
  const manifests: ManifestFile[] = [{ name: "the soak's pods", text }];
  const daemonEnv = clockEnvironment();
  return {
    spec: { name, nodes, etcd, manifests, ...(daemonEnv && { daemonEnv }) },
    hasClocks: daemonEnv !== undefined,
  };
}

/** @throws {LabError} when it does not come to its end */
export async function startSoak(
  runner: readonly string[],
  request: SoakRequest,
  onMessage: (message: FromSoak) => void,
): Promise<SoakResult> {
  let result: SoakResult | undefined;
  await runInLab<FromSoak>({
    what: "soak the lab",
    info: request.info,
    runner,
    request,
    onMessage: (message) => {
      if (message.type === "done") result = message.result;
      onMessage(message);
    },
  });
  if (!result) throw new LabError("soak the lab", { reason: "the runner gave no result" });
  return result;
}

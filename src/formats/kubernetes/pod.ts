import type { Field } from "./field.ts";
import { parseLabelName, parseMetadata } from "./metadata.ts";
import type { Container, ContainerPort, Pod } from "./objects.ts";
import { parsePortName, parseProtocol } from "./port.ts";

export function readPod(field: Field): Pod {
  const spec = field.get("spec");
  refuseUnsupported(spec);
  const containers = spec.get("containers");
  const parsed = containers.items().map(readContainer);
  if (parsed.length === 0) containers.fail("is required: a pod has at least one container");
  const names = new Set<string>();
  for (const [i, { name }] of parsed.entries()) {
    if (names.has(name))
      containers
        .items()
        [i]?.get("name")
        .fail(`${JSON.stringify(name)} is used twice`);
    names.add(name);
  }
  const nodeName = spec.get("nodeName").optional((node) => node.string());
  const status = field.get("status").optional(readStatus);
  return {
    kind: "Pod",
    metadata: parseMetadata(field.get("metadata")),
    spec: { ...(nodeName === undefined ? {} : { nodeName }), containers: parsed },
    ...(status === undefined ? {} : { status }),
  };
}

function refuseUnsupported(spec: Field): void {
  spec.get("hostNetwork").unsupported("every pod has a network namespace of its own");
  spec.get("hostPID").unsupported("containers do not see the node's processes");
  spec.get("hostIPC").unsupported("containers do not share the node's IPC namespace");
  spec.get("initContainers").unsupported("only spec.containers are started");
  spec.get("volumes").unsupported("containers use the files of the machine");
}

function readContainer(field: Field): Container {
  field.get("envFrom").unsupported("there are no ConfigMaps and Secrets; write env");
  field.get("volumeMounts").unsupported("containers use the files of the machine");
  const image = field.get("image").optional((value) => value.string());
  const command = field.get("command").optional(readWords);
  const args = field.get("args").optional(readWords);
  return {
    name: parseLabelName(field.get("name")),
    ...(image === undefined ? {} : { image }),
    ...(command === undefined ? {} : { command }),
    ...(args === undefined ? {} : { args }),
    env: field.get("env").items().map(readEnv),
    ports: field.get("ports").items().map(readContainerPort),
  };
}

function readWords(field: Field): string[] {
  return field.items().map((word) => word.text());
}

function readEnv(field: Field): { name: string; value: string } {
  field.get("valueFrom").unsupported("write the value itself");
  return { name: field.get("name").string(), value: field.get("value").optional((value) => value.text()) ?? "" };
}

function readContainerPort(field: Field): ContainerPort {
  field.get("hostPort").unsupported("use a Service of type NodePort");
  const name = field.get("name").optional(parsePortName);
  return {
    ...(name === undefined ? {} : { name }),
    containerPort: field.get("containerPort").port(),
    protocol: parseProtocol(field.get("protocol")),
  };
}

/** `podIPs`, or the older `podIP`; a pod is ready unless its Ready condition says otherwise. */
function readStatus(field: Field): NonNullable<Pod["status"]> {
  const listed = field
    .get("podIPs")
    .items()
    .map((item) => ({ ip: item.get("ip").ip() }));
  const single = field.get("podIP").optional((ip) => ip.ip());
  const podIPs = listed.length === 0 && single !== undefined ? [{ ip: single }] : listed;
  const ready = field
    .get("conditions")
    .items()
    .find((condition) => condition.get("type").value === "Ready");
  return { podIPs, ready: ready === undefined || ready.get("status").value === "True" };
}

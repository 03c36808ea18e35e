import type { Field } from "./field.ts";
import { readUnicast } from "./ip.ts";
import { parseMetadata } from "./metadata.ts";
import type { Endpoint, EndpointSlice } from "./objects.ts";
import { parseProtocol } from "./port.ts";

/** discovery.k8s.io/v1. Ports without a number (all ports) and FQDN slices have no place in a ruleset. */
export function readEndpointSlice(field: Field): EndpointSlice {
  const addressType = field.get("addressType").oneOf(["IPv4", "IPv6"]);
  return {
    kind: "EndpointSlice",
    metadata: parseMetadata(field.get("metadata")),
    addressType,
    endpoints: field
      .get("endpoints")
      .items()
      .map((endpoint) => readEndpoint(endpoint, addressType)),
    ports: field
      .get("ports")
      .items()
      .filter((port) => !port.get("port").isAbsent)
      .map((port) => ({
        name: port.get("name").optional((name) => name.text()) ?? "",
        protocol: parseProtocol(port.get("protocol")),
        port: port.get("port").port(),
      })),
  };
}

function readEndpoint(field: Field, addressType: EndpointSlice["addressType"]): Endpoint {
  const addresses = field.get("addresses");
  const items = addresses.items();
  if (items.length === 0) addresses.fail("is required: an endpoint has at least one address");
  const condition = (name: string): boolean | undefined =>
    field.get("conditions").optional((conditions) => conditions.get(name).optional((value) => value.boolean()));
  const ready = condition("ready") ?? true;
  const nodeName = field.get("nodeName").optional((name) => name.string());
  const targetRef = field.get("targetRef").optional(readTargetRef);
  return {
    addresses: items.map((item) => readUnicast(item, addressType === "IPv4" ? 4 : 6)),
    conditions: { ready, serving: condition("serving") ?? ready, terminating: condition("terminating") ?? false },
    ...(nodeName === undefined ? {} : { nodeName }),
    ...(targetRef === undefined ? {} : { targetRef }),
  };
}

function readTargetRef(field: Field): NonNullable<Endpoint["targetRef"]> {
  return {
    kind: field.get("kind").optional((kind) => kind.text()) ?? "",
    namespace: field.get("namespace").optional((namespace) => namespace.text()) ?? "",
    name: field.get("name").optional((name) => name.text()) ?? "",
  };
}

import type { Field } from "./field.ts";
import type { ObjectMeta } from "./objects.ts";

/** RFC 1123 subdomain, as Kubernetes wants the names of Pods and EndpointSlices. */
const DNS_SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
/** RFC 1123 label: namespaces, containers. */
const DNS_LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
/** RFC 1035 label, as Kubernetes wants the names of Services. */
const SERVICE_NAME = /^[a-z]([-a-z0-9]*[a-z0-9])?$/;

export function parseMetadata(field: Field, isService = false): ObjectMeta {
  const name = field.get("name");
  const text = name.string();
  if (isService ? !SERVICE_NAME.test(text) || text.length > 63 : !DNS_SUBDOMAIN.test(text) || text.length > 253)
    name.fail(`${JSON.stringify(text)} is not a name; use lower-case letters, digits and -`);
  return {
    name: text,
    namespace: field.get("namespace").optional(parseLabelName) ?? "default",
    labels: field.get("labels").optional((labels) => labels.strings()) ?? {},
  };
}

/** The name of a namespace or a container. */
export function parseLabelName(field: Field): string {
  const text = field.string();
  if (!DNS_LABEL.test(text) || text.length > 63)
    field.fail(`${JSON.stringify(text)} is not a name; use lower-case letters, digits and -`);
  return text;
}

import type { Field } from "./field.ts";
import type { Protocol } from "./objects.ts";

/** Kubernetes takes TCP when nothing is said. */
export function parseProtocol(field: Field): Protocol {
  return field.optional((protocol) => protocol.oneOf(["TCP", "UDP"])) ?? "TCP";
}

/** An IANA service name (RFC 6335), as Kubernetes wants the names of ports. */
export function parsePortName(field: Field): string {
  const name = field.string();
  if (!/^(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*$/.test(name) || name.length > 63)
    field.fail(`${JSON.stringify(name)} is not a port name; use lower-case letters, digits and -, with a letter`);
  return name;
}

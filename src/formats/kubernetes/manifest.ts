import { readEndpointSlice } from "./endpoint-slice.ts";
import type { ManifestPlace } from "./errors.ts";
import { Field } from "./field.ts";
import type { EndpointSlice, Pod, Service } from "./objects.ts";
import { readPod } from "./pod.ts";
import { readService } from "./service.ts";

export interface Manifest {
  readonly pods: readonly Pod[];
  readonly services: readonly Service[];
  readonly endpointSlices: readonly EndpointSlice[];
}

type KubernetesObject = Pod | Service | EndpointSlice;

const KINDS = {
  Pod: { apiVersion: "v1", read: readPod },
  Service: { apiVersion: "v1", read: readService },
  EndpointSlice: { apiVersion: "discovery.k8s.io/v1", read: readEndpointSlice },
} as const;

/**
 * The objects of one file, already YAML- or JSON-parsed; empty documents are passed over and a `List` is opened.
 * @throws {ManifestError} naming file, document, object and field
 */
export function parseManifest(documents: readonly unknown[], file?: string): Manifest {
  const manifest = { pods: [] as Pod[], services: [] as Service[], endpointSlices: [] as EndpointSlice[] };
  const seen = new Set<string>();
  for (const [i, document] of documents.entries()) {
    if (document === null || document === undefined) continue;
    for (const field of openList(
      new Field(document, { ...(file === undefined ? {} : { file }), document: i + 1, path: "" }),
    )) {
      const object = readObject(field);
      const key = `${object.kind} ${object.metadata.namespace}/${object.metadata.name}`;
      if (seen.has(key)) named(field).get("metadata").get("name").fail(`there is another ${key}`);
      seen.add(key);
      if (object.kind === "Pod") manifest.pods.push(object);
      else if (object.kind === "Service") manifest.services.push(object);
      else manifest.endpointSlices.push(object);
    }
  }
  return manifest;
}

/** One Pod; `file` is where it came from, for the error. @throws {ManifestError} */
export function parsePod(value: unknown, file?: string): Pod {
  return expectKind(value, file, "Pod");
}

/** @throws {ManifestError} */
export function parseService(value: unknown, file?: string): Service {
  return expectKind(value, file, "Service");
}

/** @throws {ManifestError} */
export function parseEndpointSlice(value: unknown, file?: string): EndpointSlice {
  return expectKind(value, file, "EndpointSlice");
}

function expectKind<K extends keyof typeof KINDS>(
  value: unknown,
  file: string | undefined,
  kind: K,
): Extract<KubernetesObject, { kind: K }> {
  const field = new Field(value, { ...(file === undefined ? {} : { file }), path: "" });
  const object = readObject(field);
  if (object.kind !== kind) field.get("kind").fail(`${object.kind} is not ${kind}`);
  return object as Extract<KubernetesObject, { kind: K }>;
}

function openList(field: Field): Field[] {
  return field.get("kind").value === "List" ? field.get("items").items() : [field];
}

function readObject(anonymous: Field): KubernetesObject {
  const field = named(anonymous);
  const kind = field.get("kind");
  const name = kind.string();
  if (!isKnownKind(name))
    return kind.fail(`${JSON.stringify(name)} is not supported; use ${Object.keys(KINDS).join(", ")}`);
  const { apiVersion, read } = KINDS[name];
  if (field.get("apiVersion").value !== apiVersion)
    field.get("apiVersion").fail(`a ${name} has apiVersion ${apiVersion}`);
  return read(field);
}

function isKnownKind(kind: string): kind is keyof typeof KINDS {
  return Object.hasOwn(KINDS, kind);
}

/** The same field, whose place tells kind and name as far as they can be read. */
function named(field: Field): Field {
  const { kind, metadata } = field.object();
  const name = typeof metadata === "object" && metadata !== null && "name" in metadata ? metadata.name : undefined;
  const object = [kind, name].filter((word) => typeof word === "string").join(" ");
  const place: ManifestPlace = object === "" ? field.place : { ...field.place, object };
  return new Field(field.value, place);
}

/** The object as Kubernetes' API writes it, in JSON: what goes into the store. */
export function formatObject(object: Service | EndpointSlice): string {
  const { kind, ...rest } = object;
  const { apiVersion } = KINDS[kind];
  if (object.kind !== "Service") return JSON.stringify({ apiVersion, kind, ...rest });
  const { isHeadless, clusterIPs, ...spec } = object.spec;
  const addresses = isHeadless ? ["None"] : clusterIPs;
  const [clusterIP] = addresses;
  return JSON.stringify({
    apiVersion,
    kind,
    metadata: object.metadata,
    spec: {
      ...spec,
      ...(clusterIP === undefined ? {} : { clusterIP, clusterIPs: addresses }),
      ports: spec.ports.map(formatPort),
    },
  });
}

function formatPort({ name, ...port }: Service["spec"]["ports"][number]): object {
  return name === "" ? port : { name, ...port };
}

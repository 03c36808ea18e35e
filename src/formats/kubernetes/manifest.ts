import type { EndpointSlice, Pod, Service } from "./objects.ts";

export interface Manifest {
  readonly pods: readonly Pod[];
  readonly services: readonly Service[];
  readonly endpointSlices: readonly EndpointSlice[];
}

/** The objects of one file, already YAML- or JSON-parsed. @throws {ManifestError} naming file, document and field */
export function parseManifest(documents: readonly unknown[], file?: string): Manifest {
  throw new Error(`not yet: ${documents.length} ${file}`);
}

/** One Service; `file` is where it came from, for the error. @throws {ManifestError} */
export function parseService(value: unknown, file?: string): Service {
  throw new Error(`not yet: ${value} ${file}`);
}

/** @throws {ManifestError} */
export function parsePod(value: unknown, file?: string): Pod {
  throw new Error(`not yet: ${value} ${file}`);
}

/** @throws {ManifestError} */
export function parseEndpointSlice(value: unknown, file?: string): EndpointSlice {
  throw new Error(`not yet: ${value} ${file}`);
}

/** The object as Kubernetes' API writes it (`apiVersion`, `kind`, …): what goes into the store. */
export function formatObject(object: Pod | Service | EndpointSlice): string {
  throw new Error(`not yet: ${object.kind}`);
}

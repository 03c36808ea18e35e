/**
 * Kubernetes objects: Pod, Service (core/v1) and EndpointSlice (discovery.k8s.io/v1), the fields podpath uses.
 *
 * Pure: takes plain parsed objects, knows neither YAML nor an API server. Unknown fields are ignored as Kubernetes
 * does; known ones that would change the meaning and are not supported are refused, each with its place.
 */
export * from "./endpoint-slices.ts";
export * from "./errors.ts";
export * from "./manifest.ts";
export * from "./objects.ts";

import type { ServiceDefinition } from "@grpc/grpc-js";
import { fromJSON } from "@grpc/proto-loader";
import { ETCDSERVERPB, MVCCPB, SERVICES } from "./messages.ts";

type Json = Record<string, unknown>;

/** The services of etcd's v3 API by name (`KV`, `Watch`, …), ready for a gRPC client or server. */
export const services: Readonly<
  Record<"KV" | "Watch" | "Lease" | "Cluster" | "Maintenance" | "Auth", ServiceDefinition>
> = load();

function load(): typeof services {
  // As objects, not as .proto files: nothing is looked for on disk at run time. Strings keep all 64 bits of an int64.
  const descriptor: Json = {
    nested: {
      mvccpb: { nested: each(MVCCPB, message) },
      etcdserverpb: { nested: { ...each(ETCDSERVERPB, message), ...each(SERVICES, service) } },
    },
  };
  const loaded = fromJSON(descriptor as Parameters<typeof fromJSON>[0], { longs: String, defaults: true });
  return Object.fromEntries(
    Object.keys(SERVICES).map((name) => [name, loaded[`etcdserverpb.${name}`]]),
  ) as unknown as typeof services;
}

function each<T>(table: Readonly<Record<string, T>>, spell: (entry: T) => Json): Json {
  return Object.fromEntries(Object.entries(table).map(([name, entry]) => [name, spell(entry)]));
}

function message(text: string): Json {
  const fields: Json = {};
  for (const line of text.split(";")) {
    const [, repeated, type, name, id] = /^\s*(repeated )?([\w.]+) (\w+) = (\d+)\s*$/.exec(line) ?? [];
    if (name) fields[name] = { ...(repeated && { rule: "repeated" }), type, id: Number(id) };
  }
  return { fields };
}

function service(methods: (typeof SERVICES)[string]): Json {
  return {
    methods: each(methods, ([requestType, responseType, stream]) => ({
      requestType,
      responseType,
      ...(stream && { requestStream: true, responseStream: true }),
    })),
  };
}

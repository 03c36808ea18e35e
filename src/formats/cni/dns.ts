import { type JsonObject, stringField, stringsField } from "./json.ts";

export interface Dns {
  readonly nameservers?: readonly string[];
  readonly domain?: string;
  readonly search?: readonly string[];
  readonly options?: readonly string[];
}

export function parseDns(object: JsonObject | undefined): Dns {
  if (!object) return {};
  const domain = stringField(object, "domain");
  const lists = (["nameservers", "search", "options"] as const).flatMap((key) => {
    const values = stringsField(object, key);
    return values && values.length > 0 ? [[key, values]] : [];
  });
  return { ...(domain ? { domain } : {}), ...Object.fromEntries(lists) };
}

export function isEmptyDns(dns: Dns): boolean {
  return Object.keys(dns).length === 0;
}

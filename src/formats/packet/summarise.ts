import type { Layer } from "./layer.ts";

/** One line as tcpdump would print it, e.g. `IP 10.244.1.2.41234 > 10.244.2.2.8080: UDP, length 20`. */
export function summarise(layers: readonly Layer[]): string {
  return layers.map((layer) => layer.layer).join(" / ");
}

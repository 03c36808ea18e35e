// What tracefs says in text: the `format` file of an event, and the lines of a trace_pipe.

/** An event's own fields, by name (without the common_ ones), and its symbol table if it prints one. */
export interface TraceFormat {
  readonly fields: ReadonlySet<string>;
  /** `{ 12, "NETFILTER_DROP" }`: a kernel numbers its drop reasons as it likes. */
  readonly symbols: ReadonlyMap<number, string>;
}

export function parseTraceFormat(text: string): TraceFormat {
  const fields = new Set<string>();
  for (const [, declaration = ""] of text.matchAll(/^\s+field:([^;]+);/gm)) {
    const name = /(\w+)(?:\[\w*\])?$/.exec(declaration)?.[1];
    if (name && !name.startsWith("common_")) fields.add(name);
  }
  const symbols = new Map<number, string>();
  for (const [, number, name = ""] of text.matchAll(/\{ (\d+|0x[0-9a-f]+), "([^"]*)" \}/g))
    symbols.set(Number(number), name);
  return { fields, symbols };
}

/** The fields that a filter names: `len` in `len==819 || len==805`. */
export function filterFields(filter: string): string[] {
  return [...filter.matchAll(/([a-z_]\w*)\s*(?:==|!=|<=?|>=?|&|~)/g)].map((match) => match[1] ?? "");
}

export interface TraceLine {
  readonly cpu: number;
  readonly time: bigint;
  readonly name: string;
  readonly text: string;
}

/**
 * `  node-412   [001] b..1.  1795467133.638043: net_dev_queue: dev=eth0 …`. The task's name may hold anything, so the
 * line is read from where it must be plain. Undefined for what is no event.
 */
export function parseTraceLine(line: string): TraceLine | undefined {
  const match = /^.*-\d+\s+(?:\([\s\d-]*\)\s+)?\[(\d+)\]\s+\S+\s+(\d+)\.(\d{6}): (\w+): (.*)$/.exec(line);
  if (!match) return undefined;
  const [, cpu, seconds = "0", micros = "0", name = "", text = ""] = match;
  const time = BigInt(seconds) * 1_000_000_000n + BigInt(micros) * 1000n;
  return { cpu: Number(cpu), time, name, text };
}

/** `CPU:1 [LOST 31 EVENTS]` */
export function parseLostLine(line: string): number {
  return Number(/^CPU:\d+ \[LOST (\d+) EVENTS\]$/.exec(line)?.[1] ?? 0);
}

/** The `name=value` and `name: value` pairs of an event's text. */
export function parseTraceFields(text: string): Record<string, string> {
  return Object.fromEntries(
    [...text.matchAll(/(\w+)(?:=|: )(\S+)/g)].map(([, name = "", value = ""]) => [name, value]),
  );
}

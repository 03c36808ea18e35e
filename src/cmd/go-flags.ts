// Command lines as Go's package `flag` reads them, and the environment as Flannel does. Pure.
//
//   -x   --x   -x=v   --x=v   -x v        a flag that is true or false takes no separate value: -x, -x=false
//   PREFIX_X_Y=v                          for --x-y, when the command line has none; empty means not set

/** A message for whoever typed the command line. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

export interface Flag<T = unknown> {
  readonly name: string;
  /** What stands for the value in the help; none for a flag that is true or false. */
  readonly value?: string;
  readonly help: string;
  /** @param before the values given before this one, for a flag that may be given repeatedly */
  parse(text: string, before: T | undefined): T;
}

/**
 * Reads a command line. No argument may stand alone: Go's package stops at the first such and ignores the rest, and so
 * turns `-ip-masq false` into its opposite. @throws {UsageError}
 */
export function parseArguments(flags: readonly Flag[], args: readonly string[]): Map<string, unknown> {
  const values = new Map<string, unknown>();
  const rest = [...args];
  for (let arg = rest.shift(); arg !== undefined; arg = rest.shift()) {
    const [, name = "", , inline] = /^--?([^-=][^=]*)(=(.*))?$/s.exec(arg) ?? [];
    if (name === "") throw new UsageError(`unexpected argument ${JSON.stringify(arg)}; write --flag=value`);
    const flag = flags.find((candidate) => candidate.name === name);
    if (!flag) throw new UsageError(`unknown flag --${name}; --help lists all there are`);
    const text = inline ?? (flag.value === undefined ? "true" : rest.shift());
    if (text === undefined) throw new UsageError(`--${name} needs a value: ${flag.value}`);
    set(values, flag, text, `--${name}`);
  }
  return values;
}

/** Takes from the environment what the command line left out. @throws {UsageError} */
export function addEnvironment(
  values: Map<string, unknown>,
  flags: readonly Flag[],
  prefix: string,
  env: Readonly<Record<string, string | undefined>>,
): void {
  for (const flag of flags) {
    const variable = variableOf(flag.name, prefix);
    const text = env[variable];
    if (text && !values.has(flag.name)) set(values, flag, text, variable);
  }
}

/** `FLANNELD_ETCD_PREFIX` for `etcd-prefix`. */
function variableOf(name: string, prefix: string): string {
  return `${prefix}_${name.toUpperCase().replaceAll("-", "_")}`;
}

export function helpOf(flags: readonly Flag[]): string {
  const left = flags.map(({ name, value }) => `  --${name}${value === undefined ? "" : ` ${value}`}`);
  const width = Math.max(...left.map((text) => text.length)) + 2;
  return flags.map(({ help }, i) => `${left[i]?.padEnd(width)}${help}\n`).join("");
}

/** The value is not repeated here: it may be a secret. What parses one that is none quotes it. */
function set(values: Map<string, unknown>, flag: Flag, text: string, from: string): void {
  try {
    values.set(flag.name, flag.parse(text, values.get(flag.name)));
  } catch (error) {
    throw new UsageError(`${from}: ${error instanceof Error ? error.message : error}`, { cause: error });
  }
}

/** A flag that is true or false. */
export function bool(name: string, help: string): Flag<boolean> {
  return { name, help, parse: goBool };
}

/** strconv.ParseBool */
export function goBool(text: string): boolean {
  if (/^(1|t|T|true|TRUE|True)$/.test(text)) return true;
  if (/^(0|f|F|false|FALSE|False)$/.test(text)) return false;
  throw new UsageError(`${JSON.stringify(text)} is neither true nor false`);
}

/** strconv.ParseInt with base 0: decimal, 0x1f, 0o17, 017, 0b11. */
export function goInt(text: string): number {
  const [, sign, digits = ""] = /^([+-]?)(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|0|[1-9][0-9]*)$/.exec(text) ?? [];
  if (digits === "") throw new UsageError(`${JSON.stringify(text)} is no whole number`);
  const value = Number(/^0[0-7]/.test(digits) ? `0o${digits.slice(1)}` : digits);
  return sign === "-" ? -value : value;
}

/** RE2's syntax, as far as people use it for names and addresses, is JavaScript's; `(?i)` is written differently. */
export function goRegex(text: string): RegExp {
  const [, flags = "", source = ""] = /^(?:\(\?([ims]+)\))?(.*)$/s.exec(text) ?? [];
  try {
    return new RegExp(source, flags);
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

import { type IpAddress, ParseError, parseIp } from "../netip/index.ts";
import { ManifestError, type ManifestPlace } from "./errors.ts";

/** A value with its place, so that whatever is wrong with it can be said precisely. */
export class Field {
  readonly value: unknown;
  readonly place: ManifestPlace;

  constructor(value: unknown, place: ManifestPlace) {
    this.value = value;
    this.place = place;
  }

  fail(reason: string): never {
    throw new ManifestError(this.place, reason);
  }

  /** Absent, or null, which YAML makes of `key:` and Kubernetes takes for absent. */
  get isAbsent(): boolean {
    return this.value === undefined || this.value === null;
  }

  get(name: string): Field {
    const { path } = this.place;
    return new Field(this.object()[name], { ...this.place, path: path === "" ? name : `${path}.${name}` });
  }

  /** The same field, told by `parse` if it is there. */
  optional<T>(parse: (field: this) => T): T | undefined {
    return this.isAbsent ? undefined : parse(this);
  }

  object(): Readonly<Record<string, unknown>> {
    if (typeof this.value === "object" && this.value !== null && !Array.isArray(this.value))
      return this.value as Readonly<Record<string, unknown>>;
    return this.fail(this.isAbsent ? "is required" : `${show(this.value)} is not an object`);
  }

  /** The items of a list; none when the field is absent. */
  items(): Field[] {
    if (this.isAbsent) return [];
    if (!Array.isArray(this.value)) return this.fail(`${show(this.value)} is not a list`);
    return this.value.map((item, i) => new Field(item, { ...this.place, path: `${this.place.path}[${i}]` }));
  }

  string(): string {
    if (typeof this.value === "string" && this.value !== "") return this.value;
    if (this.isAbsent || this.value === "") return this.fail("is required");
    const hint = typeof this.value === "object" ? "" : " (put it in quotes)";
    return this.fail(`${show(this.value)} is not a string${hint}`);
  }

  boolean(): boolean {
    return typeof this.value === "boolean" ? this.value : this.fail(`${show(this.value)} is not true or false`);
  }

  integer(min: number, max: number, what: string): number {
    const { value } = this;
    if (this.isAbsent) return this.fail("is required");
    if (typeof value === "number" && Number.isInteger(value) && value >= min && value <= max) return value;
    return this.fail(`${show(value)} is not ${what} (${min}-${max})`);
  }

  port(): number {
    return this.integer(1, 65535, "a port");
  }

  oneOf<const T extends string>(choices: readonly T[]): T {
    const found = choices.find((choice) => choice === this.value);
    return found ?? this.fail(`${show(this.value)} is not supported; use ${choices.join(" or ")}`);
  }

  ip(): IpAddress {
    try {
      return parseIp(this.string());
    } catch (error) {
      if (error instanceof ParseError) return this.fail(`${show(this.value)} is not an IP address`);
      throw error;
    }
  }

  /** A map of strings, such as labels. */
  strings(): Readonly<Record<string, string>> {
    return Object.fromEntries(Object.keys(this.object()).map((key) => [key, this.get(key).text()]));
  }

  /** A string that may be empty. */
  text(): string {
    return this.value === "" ? "" : this.string();
  }

  /** Refuses a field that would change what the object means. Empty lists, empty objects and false say nothing. */
  unsupported(why: string): void {
    const { value } = this;
    const isEmpty = typeof value === "object" && value !== null && Object.keys(value).length === 0;
    if (!this.isAbsent && value !== false && value !== "" && !isEmpty) this.fail(`is not supported: ${why}`);
  }
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

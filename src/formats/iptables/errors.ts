/** A listing that is none, or a rule that iptables-restore could not read. Carries the text as it was given. */
export class IptablesFormatError extends RangeError {
  override name = "IptablesFormatError";
  readonly input: string;

  constructor(what: string, input: string, why: string) {
    const shown = input.length > 200 ? `${input.slice(0, 200)}…` : input;
    super(`Cannot ${what} ${JSON.stringify(shown)}: ${why}`);
    this.input = input;
  }
}

/** Text that is not what it claims to be: an address, a prefix, a MAC. Carries the text as it was given. */
export class ParseError extends SyntaxError {
  override name = "ParseError";
  readonly input: string;

  constructor(what: string, input: string, why?: string) {
    super(`Cannot parse ${what} ${JSON.stringify(input)}${why ? `: ${why}` : ""}`);
    this.input = input;
  }
}

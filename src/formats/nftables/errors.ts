/** A name, comment, value or listing that cannot stand in an nft ruleset. Carries the text as it was given. */
export class NftFormatError extends RangeError {
  override name = "NftFormatError";
  readonly input: string;

  constructor(what: string, input: string, why: string) {
    super(`Cannot use ${JSON.stringify(input)} as nft ${what}: ${why}`);
    this.input = input;
  }
}

/** Text of Flannel's that cannot be used: what was read, which field, why, and what to do about it. */
export class FlannelError extends Error {
  override name = "FlannelError";
  /** `SubnetLen`, `PublicIP`, `FLANNEL_MTU`; empty when it is the whole text. */
  readonly field: string;

  constructor(what: string, field: string, why: string) {
    super(`Cannot use ${what}: ${field ? `${field} ` : ""}${why}`);
    this.field = field;
  }
}

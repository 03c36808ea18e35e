/** No subnet could be had, or kept: for whom, why, and what to do about it. */
export class SubnetError extends Error {
  override name = "SubnetError";
  /** `exhausted`: no free subnet; `duplicate`: another live node has this PublicIP; `config`: the config has no such family. */
  readonly reason: "exhausted" | "duplicate" | "config" | "lost";

  constructor(reason: SubnetError["reason"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}

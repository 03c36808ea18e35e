/** No subnet could be had: for whom, why, and what to do about it. */
export class SubnetError extends Error {
  override name = "SubnetError";
  /**
   * `exhausted`: no subnet is free; `duplicate`: another live node has this PublicIP; `config`: there is no network
   * config, or it asks for what this node does not have; `contended`: others were faster, time after time.
   */
  readonly reason: "exhausted" | "duplicate" | "config" | "contended";

  constructor(reason: SubnetError["reason"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}

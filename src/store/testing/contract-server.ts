/** What a contract is run against. */
export interface ContractServer extends AsyncDisposable {
  readonly endpoints: readonly string[];
  stop(): Promise<void>;
  /** Ends it without a warning (if it still runs) and starts it again with its data, at the same endpoints. */
  restart(): Promise<void>;
}

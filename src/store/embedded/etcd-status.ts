import { status } from "@grpc/grpc-js";

/** An error as a client sees it: gRPC status code and etcd's own words, which clients compare. */
export class EtcdStatus extends Error {
  override name = "EtcdStatus";
  readonly code: number;
  readonly details: string;

  constructor(code: number, message: string) {
    const details = `etcdserver: ${message}`;
    super(details);
    this.code = code;
    this.details = details;
  }
}

/** etcd's errors (its package rpctypes) by their names there. */
export const etcdErrors = {
  EmptyKey: (): EtcdStatus => new EtcdStatus(status.INVALID_ARGUMENT, "key is not provided"),
  KeyNotFound: (): EtcdStatus => new EtcdStatus(status.INVALID_ARGUMENT, "key not found"),
  ValueProvided: (): EtcdStatus => new EtcdStatus(status.INVALID_ARGUMENT, "value is provided"),
  LeaseProvided: (): EtcdStatus => new EtcdStatus(status.INVALID_ARGUMENT, "lease is provided"),
  TooManyOps: (): EtcdStatus => new EtcdStatus(status.INVALID_ARGUMENT, "too many operations in txn request"),
  DuplicateKey: (): EtcdStatus => new EtcdStatus(status.INVALID_ARGUMENT, "duplicate key given in txn request"),
  InvalidSortOption: (): EtcdStatus => new EtcdStatus(status.INVALID_ARGUMENT, "invalid sort option"),
  RequestTooLarge: (): EtcdStatus => new EtcdStatus(status.INVALID_ARGUMENT, "request is too large"),
  Compacted: (): EtcdStatus => new EtcdStatus(status.OUT_OF_RANGE, "mvcc: required revision has been compacted"),
  FutureRev: (): EtcdStatus => new EtcdStatus(status.OUT_OF_RANGE, "mvcc: required revision is a future revision"),
  LeaseNotFound: (): EtcdStatus => new EtcdStatus(status.NOT_FOUND, "requested lease not found"),
  LeaseExist: (): EtcdStatus => new EtcdStatus(status.FAILED_PRECONDITION, "lease already exists"),
  LeaseTtlTooLarge: (): EtcdStatus => new EtcdStatus(status.OUT_OF_RANGE, "too large lease TTL"),
  AuthNotEnabled: (): EtcdStatus => new EtcdStatus(status.FAILED_PRECONDITION, "authentication is not enabled"),
  Stopped: (): EtcdStatus => new EtcdStatus(status.UNAVAILABLE, "server stopped"),
} as const;

// What a failed RPC means: gRPC's code and details, in which etcd says more than in the code.
import { type ServiceError, status } from "@grpc/grpc-js";

/** Also of what is no ServiceError, a defect of ours: then its message. */
function detailsOf(error: ServiceError): string {
  return error.details ?? error.message ?? String(error);
}

/** Nobody processed it, or somebody may have: the same call may go well at another endpoint, or later. */
export function isTransient(error: ServiceError): boolean {
  return error.code === status.UNAVAILABLE || error.code === status.DEADLINE_EXCEEDED;
}

/** The request did not leave this machine, so that even what is not repeatable can be tried elsewhere. */
export function wasNeverSent(error: ServiceError): boolean {
  return (
    error.code === status.UNAVAILABLE && /^(No connection established|Name resolution failed)/.test(detailsOf(error))
  );
}

/** The token has expired, or the permissions changed since it was given; a new one will do. */
export function isInvalidToken(error: ServiceError): boolean {
  return /etcdserver: (invalid auth token|revision of auth store is old)/.test(detailsOf(error));
}

export function isAuthNotEnabled(error: ServiceError): boolean {
  return detailsOf(error).includes("etcdserver: authentication is not enabled");
}

export interface Diagnosis {
  readonly code: string;
  readonly reason: string;
  readonly advice?: string;
}

const WORDS: readonly { readonly in: RegExp; readonly code?: string; readonly advice: string }[] = [
  {
    in: /authentication failed|invalid auth token/,
    code: "UNAUTHENTICATED",
    advice: "check the user name and the password",
  },
  { in: /user name is empty|user name not found/, code: "UNAUTHENTICATED", advice: "give a user name and a password" },
  { in: /permission denied/, code: "PERMISSION_DENIED", advice: "grant the user's role this key" },
  {
    in: /certificate|self.signed|SSL|TLS|tls|wrong version number/,
    advice: "check the scheme, the CA, and the client's certificate and key",
  },
  { in: /ECONNREFUSED|ENOENT/, advice: "check that the store runs there" },
  { in: /ENOTFOUND|EAI_AGAIN|Name resolution/, advice: "check the endpoint's name" },
  { in: /EHOSTUNREACH|ENETUNREACH|EACCES|EPERM/, advice: "check the route to it and the permissions" },
];

export function diagnose(error: ServiceError): Diagnosis {
  const details = detailsOf(error);
  const known = WORDS.find((word) => word.in.test(details));
  const code = known?.code ?? status[error.code] ?? "UNKNOWN";
  // grpc-js puts the cause behind two phrases of its own.
  const reason = details
    .replace(/^No connection established\. Last error: (?:Error: )?/, "")
    .replace(/\.?\s*Resolution note:\s*$/, "");
  if (known) return { code, reason, advice: known.advice };
  if (error.code === status.UNAVAILABLE) return { code, reason, advice: "check that the store runs and has a leader" };
  if (error.code === status.DEADLINE_EXCEEDED)
    return { code, reason, advice: "check the network and the store's load" };
  return { code, reason };
}

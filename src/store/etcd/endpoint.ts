import { EtcdError } from "../errors.ts";

export interface Endpoint {
  /** As it was given. */
  readonly text: string;
  /** In gRPC's way of writing. */
  readonly target: string;
  readonly isSecure: boolean;
}

/** `hasTls`: what an endpoint without a scheme means. @throws {EtcdError} */
export function parseEndpoint(text: string, hasTls: boolean): Endpoint {
  const path = /^unix:(?:\/\/)?(\/.+)$/.exec(text)?.[1];
  if (path !== undefined) return { text, target: `unix:${path}`, isSecure: false };
  const [, scheme, host, port] = /^(?:(https?):\/\/)?(\[[0-9a-fA-F:.]+\]|[^:/[\]\s@]+):(\d{1,5})\/?$/.exec(text) ?? [];
  if (host === undefined || port === undefined || Number(port) < 1 || Number(port) > 65_535)
    throw new EtcdError(`use the store endpoint ${JSON.stringify(withoutUser(text))}`, {
      code: "INVALID_ARGUMENT",
      reason: "it is not http://HOST:PORT, https://HOST:PORT, HOST:PORT or unix:///PATH",
      advice: text.includes("@")
        ? "user and password are options of their own: --etcd-username, FLANNELD_ETCD_PASSWORD"
        : "correct the list of endpoints",
    });
  return { text, target: `${host}:${port}`, isSecure: scheme === undefined ? hasTls : scheme === "https" };
}

/** A URL may name a user and a password before an @; neither is for a log. */
function withoutUser(text: string): string {
  return text.replace(/^((?:[a-z]+:\/\/)?).*@/is, "$1(hidden)@");
}

import {
  type ChannelCredentials,
  Client,
  type ClientDuplexStream,
  connectivityState,
  credentials,
  Metadata,
  type MethodDefinition,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import { EtcdError } from "../errors.ts";
import { services } from "../etcdserverpb/services.ts";
import type { StoreState } from "../store.ts";
import { type Endpoint, parseEndpoint } from "./endpoint.ts";
import type { EtcdOptions } from "./open.ts";
import { diagnose, isAuthNotEnabled, isInvalidToken, isTransient, wasNeverSent } from "./status.ts";

const CALL_TIMEOUT_MS = 5000;
const CONNECT_TIMEOUT_MS = 2000;
const CHANNEL_OPTIONS = {
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 5000,
  // A store that vanished without a word is noticed by these; etcd allows one every five seconds.
  "grpc.keepalive_time_ms": 10_000,
  "grpc.keepalive_timeout_ms": 5000,
  "grpc.max_receive_message_length": -1,
  // The store is never behind the proxy that the environment has for the outside world.
  "grpc.enable_http_proxy": 0,
};

interface Peer {
  readonly endpoint: Endpoint;
  readonly client: Client;
}

export interface CallOptions {
  /** `put /coreos.com/network/config`: for the error. */
  readonly operation: string;
  /** Doing it twice does no harm, so it may be sent again when it is not known whether it arrived. */
  readonly isRepeatable: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** All endpoints of one store: one is used until it fails, then the next. Logs in, and again when the token is refused. */
export class Connection {
  readonly #peers: readonly Peer[];
  readonly #options: EtcdOptions;
  #current = 0;
  #token: string | undefined;
  #login: Promise<void> | undefined;
  #isClosed = false;
  #state: Pick<StoreState, "connected" | "lastError"> = { connected: false };
  readonly #counts = { reconnects: 0, watchResumes: 0, watchRestarts: 0 };
  #hasBeenLost = false;
  #heardAtMs: number | undefined;

  constructor(options: EtcdOptions) {
    this.#options = options;
    // Only where it is used: it reads all certificates that the machine trusts.
    let secure: ChannelCredentials | undefined;
    if (options.tls) secure = secureCredentials(options);
    this.#peers = options.endpoints.map((text) => {
      const endpoint = parseEndpoint(text, options.tls !== undefined);
      if (endpoint.isSecure) secure ??= secureCredentials(options);
      const creds = endpoint.isSecure && secure ? secure : credentials.createInsecure();
      return { endpoint, client: new Client(endpoint.target, creds, CHANNEL_OPTIONS) };
    });
    if (this.#peers.length === 0)
      throw new EtcdError("open the store", { code: "INVALID_ARGUMENT", reason: "no endpoint was given" });
    if ((options.username === undefined) !== (options.password === undefined))
      throw new EtcdError("open the store", {
        code: "INVALID_ARGUMENT",
        reason: "a user name needs a password, and a password a user name",
      });
  }

  state(): StoreState {
    const heardAtMs = this.#heardAtMs;
    return { ...this.#state, counts: { ...this.#counts }, ...(heardAtMs !== undefined && { heardAtMs }) };
  }

  count(what: "watchResumes" | "watchRestarts"): void {
    this.#counts[what]++;
  }

  /** Takes note that the store said something. */
  heard(): void {
    this.#heardAtMs = Date.now();
  }

  close(): void {
    this.#isClosed = true;
    this.#state = { connected: false, lastError: "the store was closed" };
    for (const { client } of this.#peers) client.close();
  }

  /** @throws {EtcdError} */
  async call<Request, Response>(
    method: MethodDefinition<never, unknown> | undefined,
    request: Request,
    options: CallOptions,
  ): Promise<Response> {
    const reasons: string[] = [];
    let mayLogInAgain = true;
    const attempts = Math.max(this.#peers.length, options.isRepeatable ? 2 : 1);
    for (let attempt = 1; ; attempt++) {
      const peer = this.#peer(options.operation);
      try {
        await this.#ensureToken(peer);
        const response = await this.#send<Request, Response>(peer, method, request, options.signal);
        this.succeeded(peer.endpoint);
        return response;
      } catch (cause) {
        const error = cause as ServiceError;
        if (mayLogInAgain && this.#token !== undefined && isInvalidToken(error)) {
          mayLogInAgain = false;
          this.#token = undefined;
          attempt--;
          continue;
        }
        const failure = this.failed(peer.endpoint, options.operation, error);
        if (!isTransient(error) || options.signal?.aborted) throw failure;
        const mayHaveArrived = !wasNeverSent(error);
        reasons.push(`${peer.endpoint.text}: ${diagnose(error).reason}`);
        if (mayHaveArrived && !options.isRepeatable) throw doubtful(failure, diagnose(error).reason);
        if (attempt < attempts) continue;
        throw this.#peers.length === 1 ? failure : exhausted(failure, [...new Set(reasons)]);
      }
    }
  }

  /** A stream at the endpoint in use, not before that is connected and logged in. Its errors go through failed(). */
  async stream<Request, Response>(
    method: MethodDefinition<never, unknown> | undefined,
    operation: string,
    deadline: number = Number.POSITIVE_INFINITY,
  ): Promise<{ call: ClientDuplexStream<Request, Response>; endpoint: Endpoint }> {
    const peer = this.#peer(operation);
    try {
      await this.#ensureToken(peer);
      await connect(peer);
    } catch (error) {
      throw this.failed(peer.endpoint, operation, error as ServiceError);
    }
    const { path, requestSerialize, responseDeserialize } = known<Request, Response>(method);
    const metadata = this.#metadata();
    const call = peer.client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata, { deadline });
    // Whoever reads the stream gets the error from it; one that comes after nobody reads must not end the process.
    call.on("error", () => {});
    return { call, endpoint: peer.endpoint };
  }

  /** One request and its answer over a method that is a stream. @throws {EtcdError} */
  async exchange<Request, Response>(
    method: MethodDefinition<never, unknown> | undefined,
    request: Request,
    operation: string,
  ): Promise<Response> {
    const { call, endpoint } = await this.stream<Request, Response>(method, operation, Date.now() + CALL_TIMEOUT_MS);
    try {
      call.write(request);
      for await (const response of call as AsyncIterable<Response>) {
        this.succeeded(endpoint);
        return response;
      }
    } catch (error) {
      throw this.failed(endpoint, operation, error as ServiceError);
    } finally {
      call.cancel();
    }
    throw new EtcdError(operation, { code: "UNAVAILABLE", reason: "it did not answer", endpoint: endpoint.text });
  }

  /** Takes note that the endpoint answers. */
  succeeded(endpoint: Endpoint): void {
    if (!this.#state.connected) this.#options.log?.info({ endpoint: endpoint.text }, "store: connected");
    if (this.#hasBeenLost) this.#counts.reconnects++;
    this.#hasBeenLost = false;
    this.heard();
    this.#state = { connected: true };
  }

  /** Takes note of a failure, and of another endpoint to use next. Returns it as it is to be told. */
  failed(endpoint: Endpoint, operation: string, error: ServiceError): EtcdError {
    const failure = new EtcdError(operation, { ...diagnose(error), endpoint: endpoint.text, cause: error });
    if (isInvalidToken(error)) this.#token = undefined;
    if (isTransient(error)) {
      if (this.#state.connected)
        this.#options.log?.warn({ endpoint: endpoint.text, reason: diagnose(error).reason }, "store: lost");
      this.#hasBeenLost ||= this.#state.connected;
      this.#state = { connected: false, lastError: failure.message };
      if (this.#peers[this.#current]?.endpoint === endpoint) this.#current = (this.#current + 1) % this.#peers.length;
    }
    return failure;
  }

  #peer(operation: string): Peer {
    const peer = this.#peers[this.#current];
    if (this.#isClosed || !peer) throw new EtcdError(operation, { code: "CANCELLED", reason: "the store was closed" });
    return peer;
  }

  async #send<Request, Response>(
    peer: Peer,
    method: MethodDefinition<never, unknown> | undefined,
    request: Request,
    signal: AbortSignal | undefined,
  ): Promise<Response> {
    const { path, requestSerialize, responseDeserialize } = known<Request, Response>(method);
    await connect(peer);
    return new Promise((resolve, reject) => {
      const deadline = Date.now() + CALL_TIMEOUT_MS;
      const abort = (): void => call.cancel();
      const call = peer.client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        this.#metadata(),
        { deadline },
        (error, response) => {
          signal?.removeEventListener("abort", abort);
          if (error) reject(error);
          else resolve(response as Response);
        },
      );
      signal?.addEventListener("abort", abort, { once: true });
      if (signal?.aborted) abort();
    });
  }

  /** etcd refuses what it cannot be sure of when it has no leader, instead of letting it hang. */
  #metadata(): Metadata {
    const metadata = new Metadata();
    metadata.set("hasleader", "true");
    if (this.#token !== undefined) metadata.set("token", this.#token);
    return metadata;
  }

  async #ensureToken(peer: Peer): Promise<void> {
    const { username, password } = this.#options;
    if (username === undefined || this.#token !== undefined) return;
    this.#login ??= this.#send<object, { token: string }>(
      peer,
      services.Auth.Authenticate as unknown as MethodDefinition<never, unknown>,
      { name: username, password },
      undefined,
    )
      .then(
        ({ token }) => {
          this.#token = token;
        },
        (error: ServiceError) => {
          if (!isAuthNotEnabled(error)) throw error;
        },
      )
      .finally(() => {
        this.#login = undefined;
      });
    await this.#login;
  }
}

/** Waits until the channel is connected, or has failed: then the call itself fails at once, and says why. */
async function connect({ client }: Peer): Promise<void> {
  const channel = client.getChannel();
  const until = Date.now() + CONNECT_TIMEOUT_MS;
  for (;;) {
    const state = channel.getConnectivityState(true);
    if (state === connectivityState.READY || state === connectivityState.TRANSIENT_FAILURE) return;
    const error = await new Promise<Error | undefined>((resolve) => {
      channel.watchConnectivityState(state, until, resolve);
    });
    if (error) {
      const details = `No connection established. Last error: no answer within ${CONNECT_TIMEOUT_MS / 1000} s`;
      throw Object.assign(new Error(details), { code: status.UNAVAILABLE, details, metadata: new Metadata() });
    }
  }
}

function secureCredentials({ tls }: EtcdOptions): ChannelCredentials {
  const pem = (text: string | Uint8Array | undefined): Buffer | null => (text === undefined ? null : Buffer.from(text));
  try {
    if ((tls?.cert === undefined) !== (tls?.key === undefined))
      throw new Error("a client certificate needs its key, and a key its certificate");
    return credentials.createSsl(pem(tls?.ca), pem(tls?.key), pem(tls?.cert));
  } catch (error) {
    throw new EtcdError("open the store", {
      code: "INVALID_ARGUMENT",
      reason: error instanceof Error ? error.message : String(error),
      advice: "check the CA, certificate and key; they must be PEM",
      cause: error,
    });
  }
}

function known<Request, Response>(
  method: MethodDefinition<never, unknown> | undefined,
): MethodDefinition<Request, Response> {
  if (!method) throw new Error("no such method in etcdserverpb/messages.ts");
  return method as unknown as MethodDefinition<Request, Response>;
}

function doubtful(failure: EtcdError, reason: string): EtcdError {
  const { operation, code, endpoint, cause } = failure;
  return new EtcdError(operation, {
    code,
    endpoint,
    cause,
    reason,
    advice: "it may have been done all the same: read before you repeat it",
  });
}

function exhausted(failure: EtcdError, reasons: readonly string[]): EtcdError {
  const { operation, code, cause } = failure;
  return new EtcdError(operation, { code, cause, reason: `no endpoint answers: ${reasons.join("; ")}` });
}

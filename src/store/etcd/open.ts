import type { Log } from "../log.ts";
import type { Store } from "../store.ts";
import { Connection } from "./connection.ts";
import { EtcdStore } from "./etcd-store.ts";

export interface EtcdTls {
  /** PEM. Without it the system's certificate authorities are trusted. */
  readonly ca?: string | Uint8Array;
  /** PEM, the client's own certificate and its key: both or neither. */
  readonly cert?: string | Uint8Array;
  readonly key?: string | Uint8Array;
}

export interface EtcdOptions {
  /** `http://10.0.0.1:2379`, `https://…`, `10.0.0.1:2379`, `unix:///run/podpath/store.sock`; each is tried in turn. */
  readonly endpoints: readonly string[];
  readonly tls?: EtcdTls | undefined;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  readonly log?: Log | undefined;
}

/** A Store in a real etcd, or in anything that speaks its v3 API. Does not wait for a connection. @throws {EtcdError} */
export async function openEtcdStore(options: EtcdOptions): Promise<Store> {
  return new EtcdStore(new Connection(options), options.log);
}

import {
  type EndpointSlice,
  ManifestError,
  parseEndpointSlice,
  parseService,
  type Service,
} from "../formats/kubernetes/index.ts";
import type { WatchMessage } from "../store/index.ts";

type Kind = "specs" | "endpointslices";
type StoredObject = Service | EndpointSlice;

/**
 * The Services and EndpointSlices that the store holds, as far as they make sense. A value that does not is never
 * acted on: it is counted, told once, and what the key held before stays in force.
 */
export class StoredObjects {
  readonly #prefix: string;
  readonly #onBadValue: (key: string, reason: string) => void;
  readonly #objects = new Map<string, StoredObject>();
  readonly #bad = new Map<string, string>();

  /** @param prefix without a slash at its end */
  constructor(prefix: string, onBadValue: (key: string, reason: string) => void) {
    this.#prefix = prefix;
    this.#onBadValue = onBadValue;
  }

  get services(): Service[] {
    return [...this.#objects.values()].filter((object) => object.kind === "Service");
  }

  get endpointSlices(): EndpointSlice[] {
    return [...this.#objects.values()].filter((object) => object.kind === "EndpointSlice");
  }

  /** Why each unusable key is unusable. */
  get bad(): ReadonlyMap<string, string> {
    return this.#bad;
  }

  take(message: WatchMessage): void {
    if (message.type === "events") {
      for (const { type, kv } of message.events) {
        if (type === "put") this.#put(kv.key, kv.valueText);
        else this.#delete(kv.key);
      }
      return;
    }
    const present = new Set(message.kvs.map(({ key }) => key));
    for (const key of [...this.#objects.keys(), ...this.#bad.keys()]) if (!present.has(key)) this.#delete(key);
    for (const { key, valueText } of message.kvs) this.#put(key, valueText);
  }

  #put(key: string, text: string): void {
    try {
      this.#objects.set(key, this.#parse(key, text));
      this.#bad.delete(key);
    } catch (error) {
      // Whatever it is: a value nested so deep that it cannot even be shown ends in a RangeError, and not in our end.
      const reason = error instanceof Error ? error.message : String(error);
      if (this.#bad.get(key) === reason) return;
      this.#bad.set(key, reason);
      this.#onBadValue(key, reason);
    }
  }

  #delete(key: string): void {
    this.#objects.delete(key);
    this.#bad.delete(key);
  }

  /** The key is the identity: an object that says it is another would belong to two keys. */
  #parse(key: string, text: string): StoredObject {
    const [kind, namespace, name, ...rest] = key.slice(this.#prefix.length + 1).split("/");
    if (!isKind(kind) || namespace === undefined || name === undefined || rest.length > 0)
      throw new ManifestError({ file: key, path: "" }, `want ${this.#prefix}/specs|endpointslices/NAMESPACE/NAME`);
    const value: unknown = JSON.parse(text);
    const object = kind === "specs" ? parseService(value, key) : parseEndpointSlice(value, key);
    if (object.metadata.name !== name || object.metadata.namespace !== namespace)
      throw new ManifestError(
        { file: key, path: "metadata" },
        `is of ${object.metadata.namespace}/${object.metadata.name}, not of the key's object`,
      );
    return object;
  }
}

function isKind(kind: string | undefined): kind is Kind {
  return kind === "specs" || kind === "endpointslices";
}

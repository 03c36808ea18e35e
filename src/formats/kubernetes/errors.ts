/** Where a value stands: `examples/shop.yaml document 2 (Service web) spec.ports[0].port`. */
export interface ManifestPlace {
  /** The file, or the store key. */
  readonly file?: string;
  /** Counted from 1, as people count the documents of a YAML file. */
  readonly document?: number;
  /** `Service web`. */
  readonly object?: string;
  /** `spec.ports[0].port`; empty for the whole document. */
  readonly path: string;
}

/** A Kubernetes object that cannot be used, and why: what is there, and what would do. */
export class ManifestError extends Error {
  override name = "ManifestError";
  readonly place: ManifestPlace;
  readonly reason: string;

  constructor(place: ManifestPlace, reason: string) {
    super(`${formatPlace(place)}: ${reason}`);
    this.place = place;
    this.reason = reason;
  }
}

export function formatPlace({ file, document, object, path }: ManifestPlace): string {
  const words = [file, document === undefined ? undefined : `document ${document}`, object && `(${object})`, path];
  return words.filter((word) => word).join(" ");
}

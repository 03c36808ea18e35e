// A runtime sends the same configuration for every pod of a network, and what follows from it is the same each time.

/** How many texts are kept, and how long one may be. */
const TEXTS = 8;
const MAX_LENGTH = 16 * 1024;

/** `f`, which looks at an object and nothing else: its result for an object is kept as long as the object is. */
export function remembered<K extends object, V>(f: (key: K) => V): (key: K) => V {
  const known = new WeakMap<K, { readonly value: V }>();
  return (key) => {
    let entry = known.get(key);
    if (!entry) {
      entry = { value: f(key) };
      known.set(key, entry);
    }
    return entry.value;
  };
}

/** The same for a text: the results for the last few are kept, so that the same text gives the same object. */
export function rememberedText<V>(f: (text: string) => V): (text: string) => V {
  const known = new Map<string, { readonly value: V }>();
  return (text) => {
    let entry = known.get(text);
    if (!entry) {
      entry = { value: f(text) };
      if (text.length > MAX_LENGTH) return entry.value;
      const [oldest] = known.keys();
      if (known.size >= TEXTS && oldest !== undefined) known.delete(oldest);
      known.set(text, entry);
    }
    return entry.value;
  };
}

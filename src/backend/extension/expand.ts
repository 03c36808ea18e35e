/** What a command's `$VAR` may name. */
export type Variables = Readonly<Record<string, string | undefined>>;

/**
 * A command of the network config as the words to execute: split on white space, and only then `$VAR` and `${VAR}`
 * expanded in each, as Flannel does since 0.28.2. There is no shell and no quoting: a value never becomes two words.
 */
export function commandWords(command: string, variables: Variables): string[] {
  return command
    .split(/\s+/)
    .filter((word) => word !== "")
    .map((word) => expand(word, variables));
}

// Go's os.Expand: ${NAME}, $NAME, $ and one of these; a "$" before anything else stays, and a "${" that is not closed, or
// holds nothing, goes.
const REFERENCE = /\$(?:\{([*#$@!?0-9-])\}|\{([^}]*)\}|(\{)|([*#$@!?0-9-])|(\w+))/g;

function expand(word: string, variables: Variables): string {
  return word.replace(REFERENCE, (_, ...groups: (string | undefined)[]) => {
    const [special, braced, open, single, name] = groups;
    if (open !== undefined || braced === "") return "";
    const key = special ?? braced ?? single ?? name ?? "";
    return (Object.hasOwn(variables, key) ? variables[key] : undefined) ?? "";
  });
}

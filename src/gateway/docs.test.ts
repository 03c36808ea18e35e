import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");

/** The objects of a listing or of the page, each with its lines; white space does not count. */
function objects(text: string): Map<string, string[]> {
  const found = new Map<string, string[]>();
  let lines: string[] | undefined;
  for (const line of text.split("\n").map((each) => each.trim())) {
    if (/^(chain|map|set) [\w-]+ \{$/.test(line)) {
      lines = [];
      found.set(line, lines);
    } else if (line === "}") lines = undefined;
    else if (line !== "") lines?.push(line);
  }
  return found;
}

test("every chain, map and set that docs/nftables.md shows is what nft lists", () => {
  const page = [...read("docs/nftables.md").matchAll(/```nft\n(.*?)```/gs)].map((match) => match[1]).join("\n");
  const listed = new Map([
    ...objects(read("testdata/nftables/masquerade.list").split("table ip6")[0] ?? ""),
    ...objects(read("testdata/nftables/gateway.list")),
  ]);
  const shown = objects(page);
  assert.ok(shown.size > 20);
  for (const [name, lines] of shown) assert.deepEqual(lines, listed.get(name), name);
});

test("docs/nftables.md shows every map and set, and every chain but the slot chains of other sizes", () => {
  const page = read("docs/nftables.md");
  for (const name of objects(read("testdata/nftables/gateway.list")).keys())
    if (!/-(1|[3-8]|16|32|64|128|256) \{/.test(name)) assert.ok(page.includes(name), name);
});

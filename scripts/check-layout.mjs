// Holds the layout to its word: each folder's tsconfig references are exactly what it imports, imports go downward,
// each folder has a module comment in index.ts and a line in ARCHITECTURE.md.
import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, normalize, relative } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const RANKS = [
  ["formats/netip"],
  [
    "formats/packet",
    "formats/netlink",
    "formats/nftables",
    "formats/iptables",
    "formats/cni",
    "formats/flannel",
    "formats/kubernetes",
  ],
  ["model", "kernel"],
  ["store", "host"],
  ["subnet", "masquerade", "gateway", "plugins"],
  ["backend"],
  ["agent", "trace"],
  ["lab"],
  ["cmd"],
];
const PURE = (folder) => folder.startsWith("formats/") || folder === "model";
const MAX_LINES = 400;

const folders = RANKS.flat();
const rank = new Map(RANKS.flatMap((names, level) => names.map((name) => [name, level])));
const problems = [];

function files(folder) {
  return readdirSync(join(root, "src", folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => join("src", folder, name));
}

function owner(file) {
  return folders.find((name) => file.startsWith(`src/${name}/`));
}

function importsOf(file) {
  const text = readFileSync(join(root, file), "utf8");
  return [...text.matchAll(/(?:from|import)\s*\(?\s*"([^"]+)"/g)].map((match) => match[1]);
}

const architecture = readFileSync(join(root, "ARCHITECTURE.md"), "utf8");
for (const folder of folders) {
  const config = JSON.parse(readFileSync(join(root, "src", folder, "tsconfig.json"), "utf8"));
  const declared = new Set(
    (config.references ?? []).map((ref) => relative("src", normalize(join("src", folder, ref.path)))),
  );
  const used = new Set();
  for (const file of files(folder)) {
    const lines = readFileSync(join(root, file), "utf8").split("\n").length;
    if (lines > MAX_LINES) problems.push(`${file}: ${lines} lines, the limit is ${MAX_LINES}`);
    const isTest = /\.(test|contract)\.ts$|\/testing\//.test(file);
    for (const specifier of importsOf(file)) {
      if (!specifier.startsWith(".")) {
        if (!isTest && PURE(folder) && specifier.startsWith("node:"))
          problems.push(`${file}: ${folder} is pure and may not import ${specifier}`);
        continue;
      }
      const target = normalize(join(dirname(file), specifier));
      const into = owner(target);
      if (isTest || into === folder) continue;
      if (!into) problems.push(`${file}: imports ${specifier}, which is in no folder of the layout`);
      else {
        used.add(into);
        if (rank.get(into) >= rank.get(folder))
          problems.push(`${file}: ${folder} may not import ${into} (imports go downward)`);
        if (!target.endsWith("/index.ts")) problems.push(`${file}: import ${into}/index.ts, not ${specifier}`);
      }
    }
  }
  for (const name of used)
    if (!declared.has(name)) problems.push(`src/${folder}/tsconfig.json: add a reference to ${name}`);
  for (const name of declared)
    if (!used.has(name)) problems.push(`src/${folder}/tsconfig.json: the reference to ${name} is not used`);
  if (!/^\/\*\*/.test(readFileSync(join(root, "src", folder, "index.ts"), "utf8")))
    problems.push(`src/${folder}/index.ts: open with a module comment`);
  if (!architecture.includes(`\`${folder}/\``)) problems.push(`ARCHITECTURE.md: has no line for \`${folder}/\``);
}
for (const entry of readdirSync(join(root, "src"))) {
  if (statSync(join(root, "src", entry)).isDirectory() && !folders.some((name) => name.split("/")[0] === entry))
    problems.push(`src/${entry}: not in the layout; add it to scripts/check-layout.mjs`);
}

for (const problem of problems) console.error(problem);
console.log(problems.length === 0 ? `layout: ${folders.length} folders, as declared` : `${problems.length} problems`);
process.exitCode = problems.length === 0 ? 0 : 1;

// Writes docs/walks/<name>.md, one page a walk, from the data files in src/model/walks (as built in dist/).
//   node scripts/walk-pages.mjs           writes the pages
//   node scripts/walk-pages.mjs --check   says which differ from the data, and which file that a page or the folder's
//                                         README names is not there; exit 1 if there is any
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { WALKS } from "../dist/model/index.js";

const ROOT = new URL("..", import.meta.url);
const FOLDER = new URL("docs/walks/", ROOT);
const PROTOCOLS = "TCP, UDP and ICMP";

function page(walk) {
  const path = (hops) => hops.map(({ place, device }) => `${place} \`${device}\``).join(" → ");
  return `# ${walk.number}. ${walk.title}

<!-- Made by scripts/walk-pages.mjs from src/model/walks/${walk.name}.ts: change that file, then run the script. -->

${walk.summary}
${walk.truth ? `\n> ${walk.truth}\n` : ""}
**Request** ${path(walk.request)}

**Reply** ${path(walk.reply)}

See it in a running lab, with ${PROTOCOLS}, every hop observed and compared with this page:

\`\`\`
podpath lab scenarios --only ${walk.number}
\`\`\`

## Request

${table(walk.request)}

## Reply

${table(walk.reply)}

_Changed_ is what must have happened to the packet since the hop before; anything else is a difference. \`tx\` is a
packet handed to a device, \`rx\` one received by it. The places and devices are explained in [README.md](README.md).
`;
}

function table(hops) {
  const rows = hops.map(({ place, device, direction, stage, changes, what, madeBy }, i) => [
    String(i + 1),
    place,
    `\`${device}\` ${direction}`,
    stage,
    changes.join(", ") || "—",
    what,
    `[\`${madeBy.replace("src/", "")}\`](../../${madeBy})`,
  ]);
  return [["#", "place", "device", "stage", "changed", "what happens", "made by"], Array(7).fill("---"), ...rows]
    .map((cells) => `| ${cells.join(" | ")} |`)
    .join("\n");
}

function check() {
  const problems = [];
  const pages = new Map(WALKS.map((walk) => [`${walk.name}.md`, page(walk)]));
  for (const [name, text] of pages) {
    const file = new URL(name, FOLDER);
    if (!existsSync(file)) problems.push(`docs/walks/${name} is missing`);
    else if (readFileSync(file, "utf8") !== text) problems.push(`docs/walks/${name} is not what its data file says`);
  }
  for (const name of readdirSync(FOLDER).filter((entry) => entry.endsWith(".md"))) {
    if (name !== "README.md" && !pages.has(name)) problems.push(`docs/walks/${name} belongs to no walk`);
    for (const [, link] of readFileSync(new URL(name, FOLDER), "utf8").matchAll(/\]\(([^)#:]+)\)/g))
      if (!existsSync(new URL(link, FOLDER))) problems.push(`docs/walks/${name} links to ${link}, which is not there`);
  }
  for (const problem of problems) console.error(problem);
  console.log(
    problems.length === 0 ? `walks: ${WALKS.length} pages, as the data says` : "run: node scripts/walk-pages.mjs",
  );
  return problems.length === 0 ? 0 : 1;
}

function write() {
  for (const walk of WALKS) writeFileSync(new URL(`${walk.name}.md`, FOLDER), page(walk));
  return 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  process.exitCode = process.argv.includes("--check") ? check() : write();

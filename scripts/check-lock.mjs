// npm ci refuses a lock file that leaves out the optional packages of other systems, which is what npm install writes
// when its registry cannot serve them. This sees it before a fresh clone does.
import { readFileSync } from "node:fs";

const { packages } = JSON.parse(readFileSync(new URL("../package-lock.json", import.meta.url), "utf8"));
const missing = Object.entries(packages).flatMap(([place, { optionalDependencies = {} }]) =>
  Object.entries(optionalDependencies)
    .filter(([name]) => !packages[`${place}/node_modules/${name}`] && !packages[`node_modules/${name}`])
    .map(([name, version]) => `${name}@${version}, of ${place}`),
);
for (const name of missing) console.error(`package-lock.json: without ${name}`);
if (missing.length > 0) {
  console.error("Write package-lock.json with a registry that has them (npm install --package-lock-only)");
  process.exitCode = 1;
} else console.log("lock: every optional package is there");

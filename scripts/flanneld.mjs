// Builds Flannel's own daemon, which the tests of mixed clusters run beside ours. It comes from its Go module
// (testdata/flanneld/go.mod), once for each content of that folder, into a cache that all clones of this machine share:
// ~/.cache/podpath. What the tests look at is node_modules/.cache/podpath: `flanneld`, a link to it, or `flanneld.why`,
// the reason that there is none.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const source = join(root, "testdata", "flanneld");
const place = join(root, "node_modules", ".cache", "podpath");
const MODULE = "github.com/flannel-io/flannel";
const PATIENCE_MS = 15 * 60_000;

/** Never fails: a machine that cannot build it skips the tests that need it. @returns {number} 0 */
export function buildFlanneld() {
  mkdirSync(place, { recursive: true });
  const binary = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "podpath", `flanneld-${digest()}`);
  const why = existsSync(binary) ? undefined : build(binary);
  // Another process may look at this moment: each name is there whole, or not at all.
  if (why === undefined) {
    replace("flanneld", (temporary) => symlinkSync(binary, temporary));
    rmSync(join(place, "flanneld.why"), { force: true });
  } else {
    console.log(`set-up: no flanneld (${why}); going on without the tests of mixed clusters`);
    replace("flanneld.why", (temporary) => writeFileSync(temporary, why));
    rmSync(join(place, "flanneld"), { force: true });
  }
  return 0;
}

function digest() {
  const hash = createHash("sha256").update(process.arch);
  for (const name of readdirSync(source, { recursive: true, encoding: "utf8" }).sort())
    if (/\.(go|mod|sum)$/.test(name)) hash.update(name).update(readFileSync(join(source, name)));
  return hash.digest("hex").slice(0, 16);
}

/** @returns {string | undefined} why there is none */
function build(binary) {
  // With its udp backend, which is C.
  for (const program of ["go", "cc"])
    if (spawnSync(program, [program === "go" ? "version" : "--version"]).error) return `no ${program} on this machine`;
  const version = new RegExp(`${MODULE} (v\\S+)`).exec(readFileSync(join(source, "go.mod"), "utf8"))?.[1] ?? "";
  console.log(`set-up: go build ${MODULE}@${version} (Flannel's own daemon, for tests; once, about two minutes)`);
  mkdirSync(join(binary, ".."), { recursive: true });
  const temporary = `${binary}.${process.pid}.tmp`;
  const flags = ["-trimpath", "-ldflags", `-s -w -X ${MODULE}/pkg/version.Version=${version}`, "-o", temporary];
  const env = { ...process.env, CGO_ENABLED: "1", GOFLAGS: "-mod=readonly -buildvcs=false", GOWORK: "off" };
  const go = spawnSync("go", ["build", ...flags, MODULE], {
    cwd: source,
    env,
    stdio: ["ignore", "inherit", "pipe"],
    encoding: "utf8",
    timeout: PATIENCE_MS,
  });
  try {
    if (go.status !== 0) return `go build: ${lastLine(go.stderr) ?? go.error?.message ?? go.signal}`;
    renameSync(temporary, binary);
    return undefined;
  } finally {
    rmSync(temporary, { force: true });
  }
}

function lastLine(text) {
  return text?.trimEnd().split("\n").at(-1) || undefined;
}

function replace(name, make) {
  const temporary = join(place, `${name}.${process.pid}.tmp`);
  make(temporary);
  renameSync(temporary, join(place, name));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = buildFlanneld();

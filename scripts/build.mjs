// Builds everything: tsc --build checks each folder against the references it declares, then esbuild makes the
// one-file CNI plugin that runs where no node_modules are.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

export function build() {
  console.log("set-up: building (tsc, esbuild)");
  const tsc = spawnSync(process.execPath, ["node_modules/typescript/bin/tsc", "--build"], {
    cwd: root,
    stdio: "inherit",
  });
  if (tsc.status !== 0) return tsc.status ?? 1;
  return spawnSync(process.execPath, ["scripts/bundle.mjs"], { cwd: root, stdio: "inherit" }).status ?? 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = build();

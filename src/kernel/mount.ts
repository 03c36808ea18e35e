// Mounts as data, and as the lines of a POSIX shell script that makes them. They are made by a script that runs inside
// the new mount namespace, before whatever is to live there: this process cannot enter another mount namespace itself.
import { shellWord } from "./process.ts";

export type Mount =
  /** `keep`: a folder below the target that stays visible under its own name. */
  | { readonly kind: "tmpfs"; readonly target: string; readonly keep?: string }
  | { readonly kind: "bind"; readonly source: string; readonly target: string }
  /** A file to bind a namespace on, as `ip netns` keeps them. */
  | { readonly kind: "namespace"; readonly source: string; readonly target: string }
  /** A fresh sysfs shows the network devices of the namespace it is mounted in. */
  | { readonly kind: "sysfs"; readonly target: string }
  | { readonly kind: "tracefs"; readonly target: string }
  /**
   * Makes a folder writable without touching it: a tmpfs over it that holds a link to each of its entries. (An overlay
   * would do the same, where the kernel has overlayfs and lets a user namespace use it.) `own`: a path below
   * it that is made anew, empty, whatever the machine has there.
   */
  | { readonly kind: "shadow"; readonly target: string; readonly own?: string }
  /** The root file system read-only; what is mounted below it keeps its own mode. */
  | { readonly kind: "read-only-root" };

/** The folder of a shadow that holds what it hides. */
export const SHADOWED = ".machine";

/** Shell lines for `set -e`; a mount that only pleases (`optional`) does not fail them. */
export function mountScript(mounts: readonly (Mount & { readonly optional?: boolean })[]): string {
  return mounts
    .map((mount) =>
      lines(mount)
        .map((line) => (mount.optional ? `{ ${line}; } 2>/dev/null || :` : line))
        .join("\n"),
    )
    .join("\n");
}

function lines(mount: Mount): string[] {
  if (mount.kind === "read-only-root") return ["mount -o remount,bind,ro /"];
  const target = shellWord(mount.target);
  switch (mount.kind) {
    case "tmpfs":
      return tmpfsLines(target, mount.keep);
    case "bind":
      return [`mkdir -p ${target}`, `mount --rbind ${shellWord(mount.source)} ${target}`];
    case "namespace":
      return [`mkdir -p "$(dirname ${target})"`, `: >${target}`, `mount --bind ${shellWord(mount.source)} ${target}`];
    case "sysfs":
      return [`mount -t sysfs sysfs ${target}`];
    case "tracefs":
      return [`mount -t tracefs tracefs ${target}`];
    case "shadow":
      return shadowLines(mount.target, mount.own);
  }
}

function tmpfsLines(target: string, keep: string | undefined): string[] {
  const make = `mount -t tmpfs -o mode=755 tmpfs ${target}`;
  if (keep === undefined) return [`mkdir -p ${target}`, make];
  const kept = shellWord(keep);
  // Once covered, the folder can still be named: as the working folder.
  return [`cd ${kept}`, make, `mkdir -p ${kept}`, `mount --no-canonicalize --bind . ${kept}`, "cd /"];
}

function shadowLines(folder: string, own: string | undefined): string[] {
  const [target, below] = [shellWord(folder), shellWord(`${folder}/${SHADOWED}`)];
  // What is made anew may be there on the machine, and come and go: not even a link may lead to it.
  const except = own === undefined ? "" : ` ! -name ${shellWord(own.split("/")[0] ?? "")}`;
  const find = `find ${SHADOWED} -mindepth 1 -maxdepth 1${except}`;
  return [
    // The tmpfs goes on top of the folder, so the folder itself is first held elsewhere.
    "mkdir -p /run/.shadowed",
    `mount --rbind ${target} /run/.shadowed`,
    `mount -t tmpfs -o mode=755 tmpfs ${target}`,
    `mkdir ${below}`,
    `mount --move /run/.shadowed ${below}`,
    // Links are copied, not linked to: a relative one would lead astray from one folder deeper.
    `(cd ${target} && ${find} -type l -exec cp -P -t . {} + && ${find} ! -type l -exec ln -s -t . {} +)`,
    ...(own === undefined ? [] : [`mkdir -p ${shellWord(`${folder}/${own}`)}`]),
  ];
}

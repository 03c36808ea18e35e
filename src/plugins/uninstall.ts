import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { CNI_VERSIONS } from "../formats/cni/index.ts";
import { CONFLIST_FILE, conflist, FALLBACK_FOLDER } from "./install.ts";
import { PLUGINS } from "./registry.ts";

/** A file or folder that installCni() made. */
export interface Installed {
  readonly what: string;
  remove(): void;
}

/**
 * What installCni() made, and what stands in the same places and is somebody else's. The configuration comes first:
 * without it the runtime uses none of the rest.
 */
export function findCni({ binDir, confDir }: { readonly binDir: string; readonly confDir: string }): {
  readonly ours: readonly Installed[];
  readonly left: readonly string[];
} {
  const conf = join(confDir, CONFLIST_FILE);
  const folder = join(binDir, FALLBACK_FOLDER);
  const plugins = [...PLUGINS.keys()].map((name) => join(binDir, name)).filter((path) => existsSync(path));
  const hasConf = existsSync(conf);
  const isOurConf = hasConf && CNI_VERSIONS.some((version) => readFileSync(conf, "utf8") === conflist(version));
  // The client holds the path of the fallback, and so does the script that stands for it on other machines.
  const isOurs = (path: string): boolean => readFileSync(path).includes(`/${FALLBACK_FOLDER}/`);
  return {
    ours: [
      ...(isOurConf ? [file(conf)] : []),
      ...plugins.filter(isOurs).map(file),
      ...(existsSync(folder) ? [{ what: `folder ${folder}`, remove: () => rmSync(folder, { recursive: true }) }] : []),
    ],
    left: [
      ...(hasConf && !isOurConf ? [`file ${conf}: it is not as podpath install-cni writes it`] : []),
      ...plugins.filter((path) => !isOurs(path)).map((path) => `file ${path}: it is not podpath's`),
    ],
  };
}

function file(path: string): Installed {
  return { what: `file ${path}`, remove: () => rmSync(path, { force: true }) };
}

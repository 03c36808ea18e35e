import { existsSync, lstatSync, readdirSync, rmdirSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { recordPath, statusSocketPath } from "../status/run-record.ts";
import type { Found, Remains } from "./remains.ts";

/** subnet.env, what stands beside it, and a dead agent's sockets. */
export function findFiles(subnetFile: string, cniSocket: string | undefined): Found {
  const folder = dirname(subnetFile);
  const paths = [subnetFile, `${folder}/wgkey`, recordPath(subnetFile), statusSocketPath(subnetFile)];
  const files = paths.filter((path) => existsSync(path));
  const isSocket = cniSocket !== undefined && lstatSync(cniSocket, { throwIfNoEntry: false })?.isSocket();
  if (isSocket) files.push(cniSocket);
  const ours = files.map((path): Remains => ({ what: `file ${path}`, remove: () => rmSync(path, { force: true }) }));
  // Folders that nobody but us and Flannel makes, once nothing else is in them.
  const folders = [...new Set([folder, ...(cniSocket === undefined ? [] : [dirname(cniSocket)])])]
    .filter((path) => /^\/(var\/)?run\/(flannel|podpath)$/.test(path) && existsSync(path))
    .filter((path) => readdirSync(path).every((name) => files.includes(`${path}/${name}`)))
    .map((path): Remains => ({ what: `folder ${path}`, remove: () => removeEmpty(path) }));
  return { ours: [...ours, ...folders], left: [] };
}

/** The addresses that pods hold, and what the flannel plugin remembers of them. */
export function findPodState(network: string): Found {
  const paths = [`/var/lib/cni/networks/${network}`, "/var/lib/cni/flannel"].filter((path) => existsSync(path));
  return {
    ours: paths.map((path) => ({
      what: `folder ${path}`,
      remove: () => rmSync(path, { recursive: true, force: true }),
    })),
    left: [],
  };
}

function removeEmpty(path: string): void {
  try {
    rmdirSync(path);
  } catch {
    // Somebody has put something there meanwhile.
  }
}

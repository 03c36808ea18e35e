import { containerToContainer } from "./container-to-container.ts";
import { externalToPod } from "./external-to-pod.ts";
import { hostToPod } from "./host-to-pod.ts";
import { podToExternal } from "./pod-to-external.ts";
import { podToPodOtherHost } from "./pod-to-pod-other-host.ts";
import { podToPodSameHost } from "./pod-to-pod-same-host.ts";
import type { Walk } from "./walk.ts";

export * from "./walk.ts";

/** The six scenarios, in order. */
export const WALKS: readonly Walk[] = [
  containerToContainer,
  podToPodSameHost,
  hostToPod,
  podToPodOtherHost,
  externalToPod,
  podToExternal,
];

/** By number or by name. */
export function findWalk(key: number | string): Walk | undefined {
  return WALKS.find((walk) => walk.number === Number(key) || walk.name === key);
}

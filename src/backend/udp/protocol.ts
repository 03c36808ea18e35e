// What the agent and its forwarder say to each other: lines of JSON on an abstract Unix socket, which is a name in the
// namespace of the device, so that an agent finds the forwarder that an earlier one started.
import type { Traffic } from "../backend.ts";

export function socketName(device: string): string {
  return `podpath/udp/${device}`;
}

/** All that the forwarder needs. */
export interface ForwarderConfig {
  readonly device: string;
  /** Where to listen, and from where to send. */
  readonly address: string;
  /** On all nodes. */
  readonly port: number;
  /** This node's own: `10.244.1.0/24`. Its first address is the device's. */
  readonly subnet: string;
  /** Subnet and node address of the others; absent: as before. */
  readonly peers?: readonly (readonly [subnet: string, address: string])[];
}

export type ToForwarder = { readonly config: ForwarderConfig } | { readonly end: true };

export type FromForwarder =
  /** First of all: which code it runs. */
  | { readonly hello: { readonly build: string; readonly pid: number } }
  /** Answers a config; with what of it could not be done, and why. */
  | { readonly configured: { readonly problem?: string } }
  /** Now and then, when it has changed. */
  | { readonly traffic: Traffic };

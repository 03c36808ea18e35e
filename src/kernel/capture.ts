import type { NetNs } from "./netns.ts";

/** One classic BPF instruction, `struct sock_filter`. */
export interface BpfInstruction {
  readonly code: number;
  readonly jt: number;
  readonly jf: number;
  readonly k: number;
}
export type Bpf = readonly BpfInstruction[];

/** A frame as one device of the namespace saw it. */
export interface CapturedFrame {
  readonly ifindex: number;
  /** The device's name at the time of draining. */
  readonly device: string;
  readonly direction: "tx" | "rx";
  /** CLOCK_REALTIME, nanoseconds. */
  readonly timestampNs: bigint;
  readonly frame: Uint8Array;
  readonly originalLength: number;
  /** PACKET_HOST, PACKET_BROADCAST, …, `sll_pkttype`. */
  readonly packetType: number;
}

export interface Capture extends Disposable {
  /** All frames since the last call, in the order in which the kernel's devices saw them. */
  drain(): CapturedFrame[];
  /** Frames the kernel had no room for since the capture was opened. */
  readonly drops: number;
  close(): void;
}

export interface CaptureOptions {
  readonly filter?: Bpf;
  /** Receive buffer; 16 MiB unless said. */
  readonly bufferBytes?: number;
}

/** One AF_PACKET socket that sees every frame at every device of a namespace. */
export function openCapture(ns: NetNs, options: CaptureOptions = {}): Capture {
  throw new Error(`openCapture(${ns.fd}, ${options.bufferBytes}): not written yet`);
}

export interface PcapngInterface {
  readonly name: string;
  readonly description?: string;
}

export interface PcapngPacket {
  /** What addInterface() returned. */
  readonly interfaceId: number;
  /** Nanoseconds since 1970-01-01 UTC. */
  readonly timestampNs: bigint;
  readonly frame: Uint8Array;
  /** How long it was on the wire, when `frame` is only its start. */
  readonly originalLength?: number;
  readonly comment?: string;
  readonly direction?: "rx" | "tx";
}

/** Builds a pcapng file of Ethernet frames with nanosecond times. */
export class PcapngWriter {
  addInterface(description: PcapngInterface): number {
    throw new Error(`addInterface(${description.name}): not written yet`);
  }

  addPacket(packet: PcapngPacket): void {
    throw new Error(`addPacket(${packet.interfaceId}): not written yet`);
  }

  finish(): Uint8Array {
    return new Uint8Array();
  }
}

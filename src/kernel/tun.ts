import { closeSync, openSync } from "node:fs";
import { isPermission, SyscallError } from "./errors.ts";
import type { IoVectors } from "./io-vectors.ts";
import { inNs, type NetNs } from "./netns.ts";
import { check, errnoCode, ioctl, ioctlNumber, readInto, strerror, writev } from "./sys.ts";

// include/uapi/linux/if_tun.h
const TUNSETIFF = 0x400454ca;
const TUNSETPERSIST = 0x400454cb;
const TUNSETOFFLOAD = 0x400454d0;
const TUNGETIFF = 0x800454d2;
const IFF_TUN = 0x0001;
const IFF_NO_PI = 0x1000;
const IFF_VNET_HDR = 0x4000;
const TUN_F_CSUM = 0x01;
const TUN_F_TSO4 = 0x02;
const TUN_F_USO4 = 0x20;
const TUN_F_USO6 = 0x40;
const EBUSY = 16;
const EINVAL = 22;
const O_RDWR_NONBLOCK = 0o4002;
const DEVICE = "/dev/net/tun";

/**
 * A TUN device's queue: whole IPv4 packets, each after a virtio-net header (IFF_NO_PI | IFF_VNET_HDR), large ones as the
 * kernel has them before it would cut them.
 */
export class Tun implements Disposable {
  readonly name: string;
  readonly fd: number;
  /** Whether the kernel takes and gives large UDP datagrams too (Linux 6.2). */
  readonly segmentsUdp: boolean;

  private constructor(name: string, fd: number, segmentsUdp: boolean) {
    this.name = name;
    this.fd = fd;
    this.segmentsUdp = segmentsUdp;
  }

  /**
   * Makes the device, or finds it, so that it stays when nobody is attached to it. @throws {SyscallError} EBUSY while
   * somebody is
   */
  static makePersistent(name: string, ns?: NetNs): void {
    const fd = openQueue(name, ns);
    try {
      check(ioctlNumber(fd, TUNSETPERSIST, 1), "keep TUN device", name);
    } finally {
      closeSync(fd);
    }
  }

  /** Attaches to the device, making it when it is missing; it stays when we go. @throws {SyscallError} */
  static attach(name: string, ns?: NetNs): Tun {
    const fd = openQueue(name, ns);
    try {
      check(ioctlNumber(fd, TUNSETPERSIST, 1), "keep TUN device", name);
      const base = TUN_F_CSUM | TUN_F_TSO4;
      const segmentsUdp = ioctlNumber(fd, TUNSETOFFLOAD, base | TUN_F_USO4 | TUN_F_USO6) >= 0;
      if (!segmentsUdp) check(ioctlNumber(fd, TUNSETOFFLOAD, base), "have TUN device give large packets", name);
      return new Tun(name, fd, segmentsUdp);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  /** One packet into memory of mapMemory(). Its length, or a negated errno: EAGAIN none, EBADFD the device is gone. */
  read(address: number, length: number): number {
    return readInto(this.fd, address, length);
  }

  /** One packet of the pieces from `first` on. What was written, or a negated errno: EIO the device is down. */
  write(pieces: IoVectors, first = 0): number {
    return writev(this.fd, pieces.addressOf(first), pieces.count - first);
  }

  /** Whether the device is there still: somebody may have deleted it. */
  isAttached(): boolean {
    return ioctl(this.fd, TUNGETIFF, new Uint8Array(40)) >= 0;
  }

  [Symbol.dispose](): void {
    closeSync(this.fd);
  }
}

function openQueue(name: string, ns: NetNs | undefined): number {
  // The device is in the namespace of whoever opens the file.
  const fd = ns ? inNs(ns, openFile) : openFile();
  const request = new Uint8Array(40);
  request.set(new TextEncoder().encode(name).subarray(0, 15));
  new DataView(request.buffer).setUint16(16, IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, true);
  const result = ioctl(fd, TUNSETIFF, request);
  if (result >= 0) return fd;
  closeSync(fd);
  const hints: Record<number, string> = {
    [EBUSY]:
      "another process has it; stop that (Flannel's own daemon?), or find it with: grep -l flannel /proc/*/fdinfo/*",
    [EINVAL]: `a device of that name is there and no such TUN device; look with: ip -d link show ${name}`,
  };
  const hint = hints[-result]?.replace("grep -l flannel", `grep -l ${name}`);
  const reason = hint ?? strerror(-result);
  throw new SyscallError("attach to TUN device", -result, errnoCode(-result), reason, name);
}

function openFile(): number {
  try {
    return openSync(DEVICE, O_RDWR_NONBLOCK);
  } catch (error) {
    const { errno = 0, code = "" } = error as NodeJS.ErrnoException;
    const what = isPermission(error)
      ? "not permitted; run as root, or give this process the device"
      : "there is none; load the module (modprobe tun), and in a container give it the device (privileged, or a hostPath)";
    throw new SyscallError("open", -errno, code, what, DEVICE);
  }
}

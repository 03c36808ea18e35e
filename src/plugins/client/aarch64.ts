// Arm Architecture Reference Manual, A64 base instructions: one 32-bit word each.
import { Assembler, type Condition, type Register, type SystemCall } from "./assembler.ts";

// arch/arm64 calling convention of svc #0: arguments in x0-x5, number in x8, result in x0; everything else survives.
const NUMBER: { readonly [register in Register]: number } = {
  result: 0,
  a0: 0,
  a1: 1,
  a2: 2,
  a3: 3,
  a4: 4,
  a5: 5,
  s0: 19,
  s1: 20,
  s2: 21,
  s3: 22,
  s4: 23,
  s5: 24,
  sp: 31,
};
const ZERO = 31; // register 31 is sp in immediate and memory forms, zero in register forms
const X8 = 8;
// include/uapi/asm-generic/unistd.h
const SYSTEM_CALL: { readonly [name in SystemCall]: number } = {
  read: 63,
  write: 64,
  exit_group: 94,
  socket: 198,
  connect: 203,
  sendto: 206,
  setsockopt: 208,
  shutdown: 210,
  execve: 221,
};
const CONDITION = { equal: 0, notEqual: 1, less: 11, lessOrEqual: 13 } as const;

export class Aarch64 extends Assembler {
  override move(to: Register, from: Register | number): void {
    if (typeof from === "number") this.#constant(NUMBER[to], from);
    else if (from === "sp") this.word(0x91000000 | (NUMBER.sp << 5) | NUMBER[to]);
    else this.word(0xaa000000 | (NUMBER[from] << 16) | (ZERO << 5) | NUMBER[to]);
  }

  /** adr */
  override address(to: Register, label: string): void {
    this.fixup(label, (code, at, target) => {
      const way = target - at;
      code.setUint32(at, code.getUint32(at, true) | ((way & 3) << 29) | (((way >> 2) & 0x7ffff) << 5), true);
    });
    this.word(0x10000000 | NUMBER[to]);
  }

  override add(to: Register, by: Register | number): void {
    if (typeof by === "number") this.word(0x91000000 | shifted12(by) | (NUMBER[to] << 5) | NUMBER[to]);
    else this.word(0x8b000000 | (NUMBER[by] << 16) | (NUMBER[to] << 5) | NUMBER[to]);
  }

  override subtract(to: Register, by: Register | number): void {
    if (typeof by === "number") this.word(0xd1000000 | shifted12(by) | (NUMBER[to] << 5) | NUMBER[to]);
    else this.word(0xcb000000 | (NUMBER[by] << 16) | (NUMBER[to] << 5) | NUMBER[to]);
  }

  /** cmp, or cmn for a negative number */
  override compare(a: Register, b: Register | number): void {
    if (typeof b === "string") this.word(0xeb00001f | (NUMBER[b] << 16) | (NUMBER[a] << 5));
    else if (b >= 0) this.word(0xf100001f | shifted12(b) | (NUMBER[a] << 5));
    else this.word(0xb100001f | shifted12(-b) | (NUMBER[a] << 5));
  }

  override load(to: Register, base: Register, offset: number): void {
    this.word(0xf9400000 | scaled(offset, 8) | (NUMBER[base] << 5) | NUMBER[to]);
  }

  override loadByte(to: Register, base: Register, offset: number): void {
    this.word(0x39400000 | scaled(offset, 1) | (NUMBER[base] << 5) | NUMBER[to]);
  }

  override store(base: Register, offset: number, from: Register): void {
    this.word(0xf9000000 | scaled(offset, 8) | (NUMBER[base] << 5) | NUMBER[from]);
  }

  override jump(condition: Condition, label: string): void {
    if (condition === "always") this.#branch(0x14000000, label);
    else {
      this.fixup(label, (code, at, target) => {
        code.setUint32(at, code.getUint32(at, true) | ((((target - at) >> 2) & 0x7ffff) << 5), true);
      });
      this.word(0x54000000 | CONDITION[condition]);
    }
  }

  /** bl */
  override call(label: string): void {
    this.#branch(0x94000000, label);
  }

  override ret(): void {
    this.word(0xd65f03c0);
  }

  override systemCall(name: SystemCall): void {
    this.#constant(X8, SYSTEM_CALL[name]);
    this.word(0xd4000001);
  }

  #branch(opcode: number, label: string): void {
    this.fixup(label, (code, at, target) => {
      code.setUint32(at, code.getUint32(at, true) | (((target - at) >> 2) & 0x3ffffff), true);
    });
    this.word(opcode);
  }

  /** movz, and movk for the upper half */
  #constant(to: number, value: number): void {
    if (value < 0 || value > 0xffffffff) throw new RangeError(`Cannot load ${value}: want 0 to 2^32 - 1`);
    this.word(0xd2800000 | ((value & 0xffff) << 5) | to);
    if (value > 0xffff) this.word(0xf2a00000 | ((value >>> 16) << 5) | to);
  }
}

/** A 12-bit immediate, or one shifted left by 12. */
function shifted12(value: number): number {
  if (value >= 0 && value < 0x1000) return value << 10;
  if (value > 0 && value % 0x1000 === 0 && value < 0x1000000) return (1 << 22) | ((value >> 12) << 10);
  throw new RangeError(`Cannot encode ${value} as a 12-bit immediate`);
}

function scaled(offset: number, size: number): number {
  const units = offset / size;
  if (!Number.isInteger(units) || units < 0 || units > 0xfff)
    throw new RangeError(`Cannot encode offset ${offset} in units of ${size}`);
  return units << 10;
}

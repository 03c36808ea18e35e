// Intel SDM volume 2. Every instruction is REX.W opcode ModRM [SIB] with 32-bit immediates and displacements: a few
// bytes longer than it could be, and one form to read.
import { Assembler, type Condition, type Register, type SystemCall } from "./assembler.ts";

// System V ABI, A.2.1: arguments in rdi rsi rdx r10 r8 r9, number and result in rax; rcx and r11 are destroyed.
const NUMBER: { readonly [register in Register]: number } = {
  result: 0,
  a0: 7,
  a1: 6,
  a2: 2,
  a3: 10,
  a4: 8,
  a5: 9,
  sp: 4,
  s0: 3,
  s1: 5,
  s2: 12,
  s3: 13,
  s4: 14,
  s5: 15,
};
// arch/x86/entry/syscalls/syscall_64.tbl
const SYSTEM_CALL: { readonly [name in SystemCall]: number } = {
  read: 0,
  write: 1,
  socket: 41,
  connect: 42,
  sendto: 44,
  shutdown: 48,
  setsockopt: 54,
  execve: 59,
  exit_group: 231,
};
const JUMP: { readonly [condition in Condition]: readonly number[] } = {
  equal: [0x0f, 0x84],
  notEqual: [0x0f, 0x85],
  less: [0x0f, 0x8c],
  lessOrEqual: [0x0f, 0x8e],
  always: [0xe9],
};
const RAX = 0;

export class X8664 extends Assembler {
  override move(to: Register, from: Register | number): void {
    if (typeof from === "number") this.#immediate(0xc7, 0, to, from);
    else this.#registers(0x89, NUMBER[from], NUMBER[to]);
  }

  override add(to: Register, by: Register | number): void {
    if (typeof by === "number") this.#immediate(0x81, 0, to, by);
    else this.#registers(0x01, NUMBER[by], NUMBER[to]);
  }

  override subtract(to: Register, by: Register | number): void {
    if (typeof by === "number") this.#immediate(0x81, 5, to, by);
    else this.#registers(0x29, NUMBER[by], NUMBER[to]);
  }

  override compare(a: Register, b: Register | number): void {
    if (typeof b === "number") this.#immediate(0x81, 7, a, b);
    else this.#registers(0x39, NUMBER[b], NUMBER[a]);
  }

  /** lea to, [rip + label] */
  override address(to: Register, label: string): void {
    const reg = NUMBER[to];
    this.bytes(rex(reg, 0), 0x8d, ((reg & 7) << 3) | 5);
    this.#relative(label);
  }

  override load(to: Register, base: Register, offset: number): void {
    this.#memory([0x8b], NUMBER[to], NUMBER[base], offset);
  }

  /** movzx */
  override loadByte(to: Register, base: Register, offset: number): void {
    this.#memory([0x0f, 0xb6], NUMBER[to], NUMBER[base], offset);
  }

  override store(base: Register, offset: number, from: Register): void {
    this.#memory([0x89], NUMBER[from], NUMBER[base], offset);
  }

  override jump(condition: Condition, label: string): void {
    this.bytes(...JUMP[condition]);
    this.#relative(label);
  }

  override call(label: string): void {
    this.bytes(0xe8);
    this.#relative(label);
  }

  override ret(): void {
    this.bytes(0xc3);
  }

  override systemCall(name: SystemCall): void {
    this.#immediate(0xc7, 0, RAX, SYSTEM_CALL[name]);
    this.bytes(0x0f, 0x05);
  }

  #registers(opcode: number, reg: number, rm: number): void {
    this.bytes(rex(reg, rm), opcode, 0xc0 | ((reg & 7) << 3) | (rm & 7));
  }

  #immediate(opcode: number, extension: number, to: Register | typeof RAX, value: number): void {
    const rm = to === RAX ? RAX : NUMBER[to];
    this.bytes(rex(0, rm), opcode, 0xc0 | (extension << 3) | (rm & 7));
    this.word(value);
  }

  #memory(opcode: readonly number[], reg: number, base: number, offset: number): void {
    this.bytes(rex(reg, base), ...opcode, 0x80 | ((reg & 7) << 3) | (base & 7));
    if ((base & 7) === 4) this.bytes(0x24); // rsp and r12 as a base need a SIB byte
    this.word(offset);
  }

  /** A displacement from the end of its own four bytes. */
  #relative(label: string): void {
    this.fixup(label, (code, at, target) => code.setInt32(at, target - (at + 4), true));
    this.word(0);
  }
}

function rex(reg: number, rm: number): number {
  return 0x48 | (reg > 7 ? 4 : 0) | (rm > 7 ? 1 : 0);
}

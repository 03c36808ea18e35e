// A mini assembler: the dozen operations the client needs, in one vocabulary for every machine. A program is written
// once against Assembler (program.ts); x86-64.ts and aarch64.ts turn each operation into that machine's instructions.

/**
 * `a0`-`a5` carry a system call's arguments, `result` its answer (on aarch64 that is a0 itself: use it before setting
 * a0). `s0`-`s5` and `sp` survive system calls.
 */
export type Register =
  | "result"
  | "a0"
  | "a1"
  | "a2"
  | "a3"
  | "a4"
  | "a5"
  | "s0"
  | "s1"
  | "s2"
  | "s3"
  | "s4"
  | "s5"
  | "sp";
export type Condition = "equal" | "notEqual" | "less" | "lessOrEqual" | "always";
export type SystemCall =
  | "read"
  | "write"
  | "socket"
  | "connect"
  | "sendto"
  | "shutdown"
  | "setsockopt"
  | "execve"
  | "exit_group";

interface Fixup {
  readonly at: number;
  readonly label: string;
  /** Writes the way from the instruction to the label's address into the code. */
  readonly patch: (code: DataView, at: number, target: number) => void;
}

export abstract class Assembler {
  readonly #code: number[] = [];
  readonly #labels = new Map<string, number>();
  readonly #fixups: Fixup[] = [];

  /** to = from */
  abstract move(to: Register, from: Register | number): void;
  /** to = the address of `label` */
  abstract address(to: Register, label: string): void;
  /** to = to + by, to - by */
  abstract add(to: Register, by: Register | number): void;
  abstract subtract(to: Register, by: Register | number): void;
  /** to = the 8, or 1, bytes at base + offset */
  abstract load(to: Register, base: Register, offset: number): void;
  abstract loadByte(to: Register, base: Register, offset: number): void;
  /** the 8 bytes at base + offset = from */
  abstract store(base: Register, offset: number, from: Register): void;
  abstract compare(a: Register, b: Register | number): void;
  abstract jump(condition: Condition, label: string): void;
  /** Leaf routines only: aarch64 keeps one return address, in its link register. */
  abstract call(label: string): void;
  abstract ret(): void;
  abstract systemCall(name: SystemCall): void;

  label(name: string): void {
    if (this.#labels.has(name)) throw new RangeError(`Cannot place label ${name}: it is placed already`);
    this.#labels.set(name, this.#code.length);
  }

  data(label: string, bytes: Uint8Array): void {
    while (this.#code.length % 8 !== 0) this.#code.push(0);
    this.label(label);
    this.#code.push(...bytes);
  }

  assemble(): Uint8Array<ArrayBuffer> {
    const code = Uint8Array.from(this.#code);
    const view = new DataView(code.buffer);
    for (const { at, label, patch } of this.#fixups) {
      const target = this.#labels.get(label);
      if (target === undefined) throw new RangeError(`Cannot assemble: label ${label} is placed nowhere`);
      patch(view, at, target);
    }
    return code;
  }

  protected bytes(...bytes: readonly number[]): void {
    this.#code.push(...bytes);
  }

  /** A 32-bit little-endian word. */
  protected word(value: number): void {
    this.bytes(value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24);
  }

  /** Asks for `patch` of the next bytes once every label has its place. */
  protected fixup(label: string, patch: Fixup["patch"]): void {
    this.#fixups.push({ at: this.#code.length, label, patch });
  }
}

/**
 * The executables: `podpath` with its sub-commands, the lab's supervisor, and the program that the lab's containers run.
 *
 * Command lines only: what they do is in the folders below. Nothing imports this folder.
 */
export {};

// The lab's supervisor, started by `podpath lab up` as a child of the lab's process 1: lab-supervisor STATE-FOLDER root|rootless
import { runSupervisor } from "../lab/index.ts";
import { labPrograms } from "./lab-programs.ts";

const [path = "", mode] = process.argv.slice(2);
await runSupervisor(path, mode === "rootless", labPrograms());

import { backendKernelContract } from "./backend.contract.ts";
import { SUBJECTS } from "./testing/subjects.ts";

const skip = process.getuid?.() === 0 ? false : "needs root: it makes network namespaces";

for (const subject of SUBJECTS) backendKernelContract(subject, skip);

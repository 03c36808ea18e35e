import { newLink } from "../formats/netlink/index.ts";
import { createUnnamedNetNs, isUnsupported, Rtnl } from "../kernel/index.ts";
import { type BackendSubject, backendKernelContract } from "./backend.contract.ts";
import { SUBJECTS } from "./testing/subjects.ts";

for (const subject of SUBJECTS) backendKernelContract(subject, whyNot(subject));

/** Why the subject cannot be tried on this kernel, or false. */
function whyNot({ linkKind }: BackendSubject): string | false {
  if (process.getuid?.() !== 0) return "needs root: it makes network namespaces";
  if (!linkKind) return false;
  const ns = createUnnamedNetNs();
  using rtnl = Rtnl.open(ns);
  try {
    rtnl.execute(newLink({ name: "try", kind: { kind: linkKind } }));
    return false;
  } catch (error) {
    if (!isUnsupported(error)) return false;
    return `this kernel has no ${linkKind} devices; try: npm run test:other-kernel -- dist/backend`;
  } finally {
    ns.close();
  }
}

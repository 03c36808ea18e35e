import { createUnnamedNetNs } from "../netns.ts";

/** For a test's `skip`: why network namespaces cannot be made here, or false. */
export function whyNoNetNs(): string | false {
  try {
    createUnnamedNetNs().close();
    return false;
  } catch (error) {
    return `needs a process that may make network namespaces (root, or root of a user namespace): ${error}`;
  }
}

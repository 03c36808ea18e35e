// Makes dist/cni/podpath-cni.cjs, the CNI plugin as one file, for where no node_modules are. koffi's JavaScript looks for
// its native file in node_modules; here it is replaced by the native file itself, which `podpath install-cni` puts beside.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));
const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));

const koffiBeside = {
  name: "koffi-beside",
  setup(context) {
    context.onResolve({ filter: /^koffi$/ }, () => ({ path: "koffi", namespace: "koffi-beside" }));
    context.onLoad({ filter: /./, namespace: "koffi-beside" }, () => ({
      contents: `import { createRequire } from "node:module"; export default createRequire(__filename)("./koffi.node");`,
    }));
  },
};

await build({
  entryPoints: [`${root}/dist/cmd/cni-plugin.js`],
  outfile: `${root}/dist/cni/podpath-cni.cjs`,
  bundle: true,
  platform: "node",
  target: "node20",
  format: "cjs",
  minifySyntax: true,
  legalComments: "none",
  banner: { js: `// podpath ${version}: CNI plugins flannel, bridge, host-local, loopback` },
  plugins: [koffiBeside],
  logLevel: "warning",
  logOverride: { "empty-import-meta": "silent" }, // only installCni() uses it, which is not called here
});

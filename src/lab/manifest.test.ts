import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { readWorkload } from "./manifest.ts";

const POD = (name: string, more = ""): string => `
apiVersion: v1
kind: Pod
metadata: { name: ${name}, labels: { app: shop } }
spec:
  ${more}
  containers: [{ name: c0, image: any }]
`;

const SERVICE = (name: string, spec: string): string => `
apiVersion: v1
kind: Service
metadata: { name: ${name} }
spec: { selector: { app: shop }, ${spec} }
`;

const read = (text: string, nodes = 2): ReturnType<typeof readWorkload> =>
  readWorkload([{ name: "shop.yaml", text }], nodes);

test("readWorkload: without a manifest there is what the six scenarios need", () => {
  const { pods, services } = readWorkload([], 2);
  assert.deepEqual(
    pods.map(({ metadata, spec }) => [metadata.name, spec.nodeName, spec.containers.length]),
    [
      ["pod-a", "node1", 2],
      ["pod-b", "node1", 1],
      ["pod-c", "node2", 1],
    ],
  );
  assert.deepEqual(services[0]?.spec.clusterIPs, ["10.96.0.10"]);
});

test("readWorkload: with one node everything is on it", () => {
  assert.ok(readWorkload([], 1).pods.every(({ spec }) => spec.nodeName === "node1"));
});

test("readWorkload places pods without a node round robin", () => {
  const { pods } = read([POD("a"), POD("b"), POD("c", "nodeName: node2"), POD("d")].join("---"));
  assert.deepEqual(
    pods.map(({ spec }) => spec.nodeName),
    ["node1", "node2", "node2", "node2"],
  );
});

test("readWorkload gives a Service the address and the port that it does not choose", () => {
  const text = [
    SERVICE("chosen", "clusterIP: 10.96.1.0, ports: [{ port: 80 }]"),
    SERVICE("given", "type: NodePort, ports: [{ port: 80 }]"),
    SERVICE("headless", "clusterIP: None, ports: [{ port: 80 }]"),
  ].join("---");
  const { services } = read(text);
  assert.deepEqual(
    services.map(({ spec }) => spec.clusterIPs),
    [["10.96.1.0"], ["10.96.1.1"], []],
  );
  assert.deepEqual(services[1]?.spec.ports[0]?.nodePort, 30000);
});

test("readWorkload names the file, the document and what to do", () => {
  assert.throws(() => read(POD("a", "nodeName: node3")), {
    message: /Cannot run pod default\/a: there is no node "node3" \(nodeName is one of node1 to node2, .*--nodes N/,
  });
  assert.throws(() => read(`${POD("a")}---\n${POD("b")}  bad: [`), { message: /shop\.yaml document 2/ });
  assert.throws(() => read(POD("a").replace("kind: Pod", "kind: Pot")), { message: /shop\.yaml document 1.*"Pot"/ });
  const inTwoFiles = (text: string): void =>
    void readWorkload(
      ["1.yaml", "2.yaml"].map((name) => ({ name, text })),
      2,
    );
  assert.throws(() => inTwoFiles(POD("a")), { message: /two manifests have it/ });
  assert.throws(() => inTwoFiles(SERVICE("s", "ports: [{ port: 80 }]")), {
    message: /^Cannot run Service default\/s: it has the name default\/s twice$/,
  });
});

test("readWorkload says in one line where a file is no YAML", () => {
  for (const text of ["a:\n\tb: 1", "{{{{ : ][", "a: [", "a: b: c"])
    assert.throws(() => read(text), { message: /^Cannot read shop\.yaml document 1: .* at line \d+, column \d+$/ });
  const bomb = [..."bcdefg"].map((name, i) => `${name}: &${name} [${`*${"abcdef"[i]},`.repeat(9)}]`);
  assert.throws(() => read(["a: &a [1]", ...bomb].join("\n")), {
    message: /^Cannot read shop\.yaml document 1: .+alias/,
  });
});

test("readWorkload refuses what the API server would refuse, and what the lab cannot run", () => {
  const refused: readonly [string, RegExp][] = [
    ["", /shop\.yaml says: there is no Pod and no Service/],
    [POD("node1"), /run pod node1: a machine of the lab has that name/],
    [POD("gateway"), /a machine of the lab has that name/],
    [POD("a").replace("containers: [", "containers: [{ name: c1 }, "), /c1 and c0 both listen on port 8080/],
    [SERVICE("s", "clusterIP: 192.0.2.1, ports: [{ port: 80 }]"), /192\.0\.2\.1 is not in 10\.96\.0\.0\/12/],
    [
      ["s", "t"].map((name) => SERVICE(name, "clusterIP: 10.96.0.9, ports: [{ port: 80 }]")).join("---"),
      /run Service default\/t: Service default\/s has ClusterIP 10\.96\.0\.9 already/,
    ],
    [
      ["s", "t"].map((name) => SERVICE(name, "type: NodePort, ports: [{ port: 80, nodePort: 30001 }]")).join("---"),
      /Service default\/s has NodePort 30001\/TCP already/,
    ],
    [
      "{ apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: { name: e }, addressType: IPv4, endpoints: [] }",
      /the lab makes them itself|no Pod and no Service/,
    ],
  ];
  for (const [text, message] of refused) assert.throws(() => read(text), { message });
});

test("one NodePort serves TCP and UDP, and containers with commands of their own may name one port twice", () => {
  const ports = "{ name: t, port: 80, nodePort: 30001 }, { name: u, protocol: UDP, port: 80, nodePort: 30001 }";
  const containers = "containers: [{ name: c1, command: [sleep, '9'], ports: [{ containerPort: 8080 }] }, ";
  const text = [POD("a").replace("containers: [", containers), SERVICE("s", `type: NodePort, ports: [${ports}]`)];
  assert.equal(read(text.join("---")).services.length, 1);
});

test("the example can be run", () => {
  const name = fileURLToPath(new URL("../../examples/shop.yaml", import.meta.url));
  const { pods, services } = readWorkload([{ name, text: readFileSync(name, "utf8") }], 2);
  assert.equal(pods.length, 5);
  assert.equal(services.length, 2);
});

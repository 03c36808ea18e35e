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
  assert.throws(
    () =>
      readWorkload(
        [POD("a"), POD("a")].map((text, i) => ({ name: `${i}.yaml`, text })),
        2,
      ),
    {
      message: /two manifests have it/,
    },
  );
});

test("the example can be run", () => {
  const name = fileURLToPath(new URL("../../examples/shop.yaml", import.meta.url));
  const { pods, services } = readWorkload([{ name, text: readFileSync(name, "utf8") }], 2);
  assert.equal(pods.length, 5);
  assert.equal(services.length, 2);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  endpointSlicesFor,
  formatObject,
  ManifestError,
  type Pod,
  parseEndpointSlice,
  parseManifest,
  parsePod,
  parseService,
  type Service,
} from "./index.ts";

const FILE = "examples/shop.yaml";

function pod(name: string, fields: { labels?: object; spec?: object; status?: object } = {}): unknown {
  const { labels = { app: "web" }, spec = {}, status } = fields;
  const ports = [{ name: "http", containerPort: 8080 }];
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, labels },
    spec: { containers: [{ name: "c0", image: "any", ports }], ...spec },
    ...(status ? { status } : {}),
  };
}

function service(spec: object = {}): unknown {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "web" },
    spec: { clusterIP: "10.96.0.10", selector: { app: "web" }, ports: [{ port: 80, targetPort: 8080 }], ...spec },
  };
}

function slice(fields: object = {}): unknown {
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name: "web-1", labels: { "kubernetes.io/service-name": "web" } },
    addressType: "IPv4",
    endpoints: [{ addresses: ["10.244.1.2"] }],
    ports: [{ port: 8080 }],
    ...fields,
  };
}

test("parseManifest() sorts the objects of a file by kind, with Kubernetes' defaults", () => {
  const { pods, services, endpointSlices } = parseManifest([pod("a"), null, service(), slice()], FILE);
  assert.deepEqual(pods, [
    {
      kind: "Pod",
      metadata: { name: "a", namespace: "default", labels: { app: "web" } },
      spec: {
        containers: [
          { name: "c0", image: "any", env: [], ports: [{ name: "http", containerPort: 8080, protocol: "TCP" }] },
        ],
      },
    },
  ]);
  assert.deepEqual(services, [
    {
      kind: "Service",
      metadata: { name: "web", namespace: "default", labels: {} },
      spec: {
        type: "ClusterIP",
        clusterIPs: ["10.96.0.10"],
        isHeadless: false,
        selector: { app: "web" },
        ports: [{ name: "", protocol: "TCP", port: 80, targetPort: 8080 }],
        sessionAffinity: "None",
        publishNotReadyAddresses: false,
      },
    },
  ]);
  assert.deepEqual(endpointSlices[0]?.endpoints, [
    { addresses: ["10.244.1.2"], conditions: { ready: true, serving: true, terminating: false } },
  ]);
});

test("parseManifest() opens a List, and passes over fields that do not change the meaning", () => {
  const list = {
    apiVersion: "v1",
    kind: "List",
    items: [pod("a", { spec: { restartPolicy: "Never", volumes: [], hostNetwork: false } })],
  };
  assert.deepEqual(
    parseManifest([list]).pods.map(({ metadata }) => metadata.name),
    ["a"],
  );
});

const BAD: readonly [string, unknown, string][] = [
  [
    "port too large",
    service({ ports: [{ port: 70000 }] }),
    "(Service web) spec.ports[0].port: 70000 is not a port (1-65535)",
  ],
  [
    "port as text",
    service({ ports: [{ port: "80" }] }),
    '(Service web) spec.ports[0].port: "80" is not a port (1-65535)',
  ],
  ["no port", service({ ports: [{}] }), "(Service web) spec.ports[0].port: is required"],
  ["no ports", service({ ports: [] }), "(Service web) spec.ports: is required: a Service has at least one port"],
  ["ports no list", service({ ports: 80 }), "(Service web) spec.ports: 80 is not a list"],
  [
    "ports without names",
    service({ ports: [{ port: 1 }, { port: 2 }] }),
    "(Service web) spec.ports[0].name: is required when there are several ports",
  ],
  [
    "a name twice",
    service({
      ports: [
        { name: "a", port: 1 },
        { name: "a", port: 2 },
      ],
    }),
    '(Service web) spec.ports[1].name: "a" is used twice',
  ],
  [
    "a port twice",
    service({
      ports: [
        { name: "a", port: 1 },
        { name: "b", port: 1 },
      ],
    }),
    "(Service web) spec.ports[1].port: TCP 1 is used twice",
  ],
  [
    "SCTP",
    service({ ports: [{ port: 1, protocol: "SCTP" }] }),
    '(Service web) spec.ports[0].protocol: "SCTP" is not supported; use TCP or UDP',
  ],
  [
    "node port out of range",
    service({ type: "NodePort", ports: [{ port: 1, nodePort: 80 }] }),
    "(Service web) spec.ports[0].nodePort: 80 is not a node port (30000-32767)",
  ],
  [
    "node port without type",
    service({ ports: [{ port: 1, nodePort: 30080 }] }),
    "(Service web) spec.ports[0].nodePort: needs spec.type: NodePort",
  ],
  [
    "bad target port name",
    service({ ports: [{ port: 1, targetPort: "Http" }] }),
    '(Service web) spec.ports[0].targetPort: "Http" is not a port name; use lower-case letters, digits and -, with a letter',
  ],
  [
    "load balancer",
    service({ type: "LoadBalancer" }),
    '(Service web) spec.type: "LoadBalancer" is not supported; use ClusterIP or NodePort',
  ],
  [
    "external IPs",
    service({ externalIPs: ["203.0.113.5"] }),
    "(Service web) spec.externalIPs: is not supported: use type NodePort, or route the ClusterIP to a node",
  ],
  [
    "local policy",
    service({ externalTrafficPolicy: "Local" }),
    '(Service web) spec.externalTrafficPolicy: "Local" is not supported; use Cluster',
  ],
  [
    "bad affinity",
    service({ sessionAffinity: "Cookie" }),
    '(Service web) spec.sessionAffinity: "Cookie" is not supported; use None or ClientIP',
  ],
  ["no address", service({ clusterIP: "10.96.0" }), '(Service web) spec.clusterIP: "10.96.0" is not an IP address'],
  [
    "loopback as ClusterIP",
    service({ clusterIP: "127.0.0.1" }),
    "(Service web) spec.clusterIP: 127.0.0.1 is a loopback address",
  ],
  [
    "two of one family",
    service({ clusterIPs: ["10.96.0.1", "10.96.0.2"] }),
    "(Service web) spec.clusterIPs[1]: want at most one address a family",
  ],
  [
    "headless NodePort",
    service({ type: "NodePort", clusterIP: "None" }),
    "(Service web) spec.clusterIP: a Service of type NodePort cannot be headless",
  ],
  ["selector no map", service({ selector: "web" }), '(Service web) spec.selector: "web" is not an object'],
  [
    "selector of numbers",
    service({ selector: { app: 1 } }),
    "(Service web) spec.selector.app: 1 is not a string (put it in quotes)",
  ],
  ["no name", { apiVersion: "v1", kind: "Service", metadata: {}, spec: {} }, "(Service) metadata.name: is required"],
  [
    "bad name",
    { apiVersion: "v1", kind: "Service", metadata: { name: "Web_1" }, spec: {} },
    '(Service Web_1) metadata.name: "Web_1" is not a name; use lower-case letters, digits and -',
  ],
  [
    "unknown kind",
    { apiVersion: "apps/v1", kind: "Deployment", metadata: { name: "d" } },
    '(Deployment d) kind: "Deployment" is not supported; use Pod, Service, EndpointSlice',
  ],
  [
    "wrong version",
    { apiVersion: "v2", kind: "Pod", metadata: { name: "a" } },
    "(Pod a) apiVersion: a Pod has apiVersion v1",
  ],
  ["no object", "text", ': "text" is not an object'],
  [
    "no containers",
    pod("a", { spec: { containers: [] } }),
    "(Pod a) spec.containers: is required: a pod has at least one container",
  ],
  [
    "a container twice",
    pod("a", { spec: { containers: [{ name: "c" }, { name: "c" }] } }),
    '(Pod a) spec.containers[1].name: "c" is used twice',
  ],
  [
    "host network",
    pod("a", { spec: { hostNetwork: true } }),
    "(Pod a) spec.hostNetwork: is not supported: every pod has a network namespace of its own",
  ],
  [
    "init containers",
    pod("a", { spec: { initContainers: [{}] } }),
    "(Pod a) spec.initContainers: is not supported: only spec.containers are started",
  ],
  [
    "host port",
    pod("a", { spec: { containers: [{ name: "c", ports: [{ containerPort: 1, hostPort: 1 }] }] } }),
    "(Pod a) spec.containers[0].ports[0].hostPort: is not supported: use a Service of type NodePort",
  ],
  [
    "env from elsewhere",
    pod("a", { spec: { containers: [{ name: "c", env: [{ name: "A", valueFrom: { fieldRef: {} } }] }] } }),
    "(Pod a) spec.containers[0].env[0].valueFrom: is not supported: write the value itself",
  ],
  [
    "env that YAML made a number",
    pod("a", { spec: { containers: [{ name: "c", env: [{ name: "A", value: 1 }] }] } }),
    "(Pod a) spec.containers[0].env[0].value: 1 is not a string (put it in quotes)",
  ],
  [
    "an IPv6 address in an IPv4 slice",
    slice({ endpoints: [{ addresses: ["fd00::1"] }] }),
    "(EndpointSlice web-1) endpoints[0].addresses[0]: fd00::1 is not an IPv4 address, as addressType says",
  ],
  [
    "an endpoint on the node's loopback",
    slice({ endpoints: [{ addresses: ["127.0.0.1"] }] }),
    "(EndpointSlice web-1) endpoints[0].addresses[0]: 127.0.0.1 is a loopback address",
  ],
  [
    "an endpoint that is link-local",
    slice({ endpoints: [{ addresses: ["169.254.169.254"] }] }),
    "(EndpointSlice web-1) endpoints[0].addresses[0]: 169.254.169.254 is a link-local address",
  ],
  [
    "a name service",
    slice({ addressType: "FQDN" }),
    '(EndpointSlice web-1) addressType: "FQDN" is not supported; use IPv4 or IPv6',
  ],
  [
    "an endpoint without address",
    slice({ endpoints: [{ addresses: [] }] }),
    "(EndpointSlice web-1) endpoints[0].addresses: is required: an endpoint has at least one address",
  ],
];

for (const [what, document, message] of BAD) {
  test(`parseManifest() tells where and why: ${what}`, () => {
    assert.throws(() => parseManifest([pod("good"), document], FILE), {
      name: "ManifestError",
      message: `${FILE} document 2${message.startsWith(":") ? "" : " "}${message}`,
    });
  });
}

test("parseManifest() refuses two objects of one name", () => {
  assert.throws(
    () => parseManifest([pod("a"), pod("a")], FILE),
    /document 2 \(Pod a\) metadata\.name: there is another Pod default\/a/,
  );
});

test("whatever is in a document, parseManifest() reads it or throws a ManifestError", () => {
  const fragment = fc.jsonValue({ maxDepth: 3 });
  const near = fc.oneof(
    fragment,
    fragment.map((spec) => ({ apiVersion: "v1", kind: "Service", metadata: { name: "web" }, spec })),
    fragment.map((ports) => service({ ports })),
    fragment.map((containers) => pod("a", { spec: { containers } })),
    fragment.map((endpoints) => slice({ endpoints })),
  );
  fc.assert(
    fc.property(near, (document) => {
      try {
        parseManifest([document]);
      } catch (error) {
        assert.ok(error instanceof ManifestError, String(error));
      }
    }),
  );
});

test("what formatObject() writes, parseService() and parseEndpointSlice() read back", () => {
  const one = parseService(
    service({ type: "NodePort", ports: [{ name: "a", port: 1, nodePort: 30001, targetPort: "http" }] }),
  );
  assert.deepEqual(parseService(JSON.parse(formatObject(one))), one);
  const headless = parseService(service({ clusterIP: "None" }));
  assert.deepEqual(parseService(JSON.parse(formatObject(headless))), headless);
  const written = JSON.parse(formatObject(headless));
  assert.equal(written.spec.clusterIP, "None");
  const other = parseEndpointSlice(slice());
  assert.deepEqual(parseEndpointSlice(JSON.parse(formatObject(other))), other);
});

const running = (ip: string): object => ({ podIPs: [{ ip }] });

function slicesFor(one: Service, pods: readonly Pod[]): unknown {
  return endpointSlicesFor(one, pods).map(({ metadata, addressType, endpoints, ports }) => ({
    name: metadata.name,
    addressType,
    addresses: endpoints.map(({ addresses }) => addresses[0]),
    ports: ports.map(({ port }) => port),
  }));
}

test("endpointSlicesFor() takes the pods that have all the labels and an address", () => {
  const one = parseService(service());
  const pods = [
    parsePod(pod("a", { status: running("10.244.1.2") })),
    parsePod(pod("b", { labels: { app: "db" }, status: running("10.244.1.3") })),
    parsePod(pod("starting")),
    parsePod(pod("c", { labels: { app: "web", more: "x" }, status: running("10.244.2.2") })),
  ];
  assert.deepEqual(slicesFor(one, pods), [
    { name: "web-ipv4", addressType: "IPv4", addresses: ["10.244.1.2", "10.244.2.2"], ports: [8080] },
  ]);
});

test("endpointSlicesFor() finds a named target port in each pod, and makes a slice for each number", () => {
  const one = parseService(service({ ports: [{ port: 80, targetPort: "http" }] }));
  const other = { containers: [{ name: "c", ports: [{ name: "http", containerPort: 9090 }] }] };
  const without = { containers: [{ name: "c" }] };
  const pods = [
    parsePod(pod("a", { status: running("10.244.1.2") })),
    parsePod(pod("b", { spec: other, status: running("10.244.1.3") })),
    parsePod(pod("c", { spec: without, status: running("10.244.1.4") })),
  ];
  assert.deepEqual(slicesFor(one, pods), [
    { name: "web-ipv4", addressType: "IPv4", addresses: ["10.244.1.2"], ports: [8080] },
    { name: "web-ipv4-2", addressType: "IPv4", addresses: ["10.244.1.3"], ports: [9090] },
  ]);
});

test("endpointSlicesFor() makes an empty slice when no pod matches, none without a selector, and one a family", () => {
  assert.deepEqual(slicesFor(parseService(service()), []), [
    { name: "web-ipv4", addressType: "IPv4", addresses: [], ports: [] },
  ]);
  assert.deepEqual(slicesFor(parseService(service({ selector: undefined })), []), []);
  const dual = parseService(service({ clusterIPs: ["10.96.0.10", "fd00:96::a"] }));
  const both = parsePod(pod("a", { status: { podIPs: [{ ip: "10.244.1.2" }, { ip: "fd00:244:1::2" }] } }));
  assert.deepEqual(slicesFor(dual, [both]), [
    { name: "web-ipv4", addressType: "IPv4", addresses: ["10.244.1.2"], ports: [8080] },
    { name: "web-ipv6", addressType: "IPv6", addresses: ["fd00:244:1::2"], ports: [8080] },
  ]);
});

test("a pod that is not ready is an endpoint that is not, unless the Service publishes it all the same", () => {
  const notReady = { podIP: "10.244.1.2", conditions: [{ type: "Ready", status: "False" }] };
  const one = parsePod(pod("a", { status: notReady }));
  const conditions = (spec: object): unknown =>
    endpointSlicesFor(parseService(service(spec)), [one])[0]?.endpoints[0]?.conditions;
  assert.deepEqual(conditions({}), { ready: false, serving: false, terminating: false });
  assert.deepEqual(conditions({ publishNotReadyAddresses: true }), { ready: true, serving: false, terminating: false });
});

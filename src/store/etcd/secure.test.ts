// A real etcd that wants TLS, a client certificate and a password.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { EtcdError, type EtcdTls, isUnauthenticated, isUnavailable, openEtcdStore, type Store } from "../index.ts";
import type { ContractServer } from "../testing/contract-server.ts";
import { startRealEtcd, whyNoEtcd } from "../testing/real-etcd.ts";

describe("etcd with TLS and passwords", { skip: whyNoEtcd("etcdctl", "openssl"), timeout: 120_000 }, () => {
  let directory: string;
  let server: ContractServer;
  let tls: Required<EtcdTls>;
  const file = (name: string): string => join(directory, name);

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), "podpath-tls-"));
    makeCertificates(directory);
    const pem = (name: string): Buffer => readFileSync(file(name));
    tls = { ca: pem("ca.pem"), cert: pem("client.pem"), key: pem("client.key") };
    server = await startRealEtcd("https", [
      ...["--cert-file", file("server.pem"), "--key-file", file("server.key")],
      ...["--trusted-ca-file", file("ca.pem"), "--client-cert-auth"],
    ]);
    const ctl = (...args: string[]): void => {
      const flags = ["--cacert", file("ca.pem"), "--cert", file("client.pem"), "--key", file("client.key")];
      const env = { ...process.env, ETCDCTL_API: "3" };
      execFileSync("etcdctl", ["--endpoints", server.endpoints.join(), ...flags, ...args], { env, stdio: "pipe" });
    };
    ctl("user", "add", "root:top secret");
    ctl("user", "grant-role", "root", "root");
    ctl("role", "add", "network");
    ctl("role", "grant-permission", "network", "readwrite", "--prefix=true", "/coreos.com/network/");
    ctl("user", "add", "flannel:pa:ss word");
    ctl("user", "grant-role", "flannel", "network");
    ctl("auth", "enable");
  });
  after(async () => {
    await server?.[Symbol.asyncDispose]();
    rmSync(directory, { recursive: true, force: true });
  });

  const use = async <T>(options: object, f: (store: Store) => Promise<T>): Promise<T> => {
    const store = await openEtcdStore({ endpoints: server.endpoints, tls, ...options });
    try {
      return await f(store);
    } finally {
      await store[Symbol.asyncDispose]();
    }
  };
  const flannel = { username: "flannel", password: "pa:ss word" };

  test("a user reads, writes and watches what its role allows, and no more", () =>
    use(flannel, async (store) => {
      await store.put("/coreos.com/network/config", "{}");
      assert.equal((await store.get("/coreos.com/network/config"))?.valueText, "{}");
      const stop = new AbortController();
      for await (const message of store.watch("/coreos.com/network/", stop.signal)) {
        if (message.type === "snapshot") await store.put("/coreos.com/network/x", "");
        else stop.abort();
      }
      const refused = store.put("/elsewhere", "");
      await assert.rejects(refused, isUnauthenticated);
      await assert.rejects(
        refused,
        /Cannot put \/elsewhere at https:.*permission denied.*grant the user's role this key/,
      );
    }));

  test("a token that the store has forgotten is replaced, in calls and in watches", () =>
    use(flannel, async (store) => {
      const stop = new AbortController();
      const seen: string[] = [];
      for await (const message of store.watch("/coreos.com/network/t", stop.signal)) {
        if (message.type === "events") {
          seen.push(...message.events.map(({ kv }) => kv.key));
          stop.abort();
          continue;
        }
        // etcd keeps its tokens in memory.
        await server.restart();
        for (;;) {
          try {
            await store.put("/coreos.com/network/t", "1");
            break;
          } catch (error) {
            if (!isUnavailable(error)) throw error;
            await new Promise((resolve) => setTimeout(resolve, 50));
          }
        }
      }
      assert.deepEqual(seen, ["/coreos.com/network/t"]);
    }));

  test("a wrong password, and none, are told as such", async () => {
    await use({ ...flannel, password: "wrong" }, (store) =>
      assert.rejects(store.get("/coreos.com/network/config"), (error) => {
        assert.ok(isUnauthenticated(error));
        assert.match(error.message, /authentication failed.*check the user name and the password/);
        assert.doesNotMatch(error.message, /wrong/);
        return true;
      }),
    );
  });

  test("an unknown authority, and no client certificate, are told as such", async () => {
    const { ca: _ca, ...noCa } = tls;
    for (const options of [{ tls: noCa }, { tls: { ca: tls.ca } }])
      await use({ ...flannel, ...options }, (store) =>
        assert.rejects(store.get("/x"), (error) => {
          assert.ok(isUnavailable(error));
          assert.match(error.message, /Cannot get \/x at https:/);
          return true;
        }),
      );
    await use({ ...flannel, tls: noCa }, (store) =>
      assert.rejects(store.get("/x"), /certificate.*check the scheme, the CA, and the client's certificate and key/),
    );
  });
});

test("options that cannot work are refused at once", async () => {
  const endpoints = ["http://127.0.0.1:2379"];
  const cases: [object, RegExp][] = [
    [{ endpoints: [] }, /no endpoint was given/],
    [{ endpoints: ["127.0.0.1"] }, /"127\.0\.0\.1": it is not http:\/\/HOST:PORT/],
    [{ endpoints: ["http://127.0.0.1:0"] }, /it is not/],
    [{ endpoints: ["ftp://127.0.0.1:1"] }, /it is not/],
    [{ endpoints, username: "u" }, /needs a password/],
    [{ endpoints, tls: { cert: "x" } }, /needs its key/],
    [{ endpoints, tls: { cert: "x", key: "y" } }, /PEM/],
  ];
  for (const [options, why] of cases)
    await assert.rejects(
      openEtcdStore(options as never),
      (error) => error instanceof EtcdError && why.test(error.message),
    );
});

function makeCertificates(directory: string): void {
  const ssl = (...args: string[]): void => void execFileSync("openssl", args, { cwd: directory, stdio: "pipe" });
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  ssl("req", "-x509", ...newKey, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=podpath test CA");
  for (const name of ["server", "client"]) {
    const request = ["-keyout", `${name}.key`, "-out", `${name}.csr`, "-subj", "/O=podpath", "-addext"];
    ssl("req", ...newKey, ...request, "subjectAltName=IP:127.0.0.1");
    const ca = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-copy_extensions", "copy"];
    ssl("x509", "-req", "-in", `${name}.csr`, ...ca, "-out", `${name}.pem`, "-days", "2");
  }
}

import assert from "node:assert/strict";
import { test } from "node:test";
import { EtcdError } from "../errors.ts";
import { parseEndpoint } from "./endpoint.ts";

test("parseEndpoint() repeats no user and no password of a URL, and says where they belong", () => {
  for (const text of ["http://me:hunter2@10.0.0.1:2379", "https://hunter2@h:1", "me:hunter2@h:2379", "x@hunter2@h:1"])
    assert.throws(
      () => parseEndpoint(text, false),
      (error) =>
        error instanceof EtcdError &&
        !error.message.includes("hunter2") &&
        /FLANNELD_ETCD_PASSWORD/.test(error.message),
      text,
    );
  assert.throws(() => parseEndpoint("http://10.0.0.1", false), /"http:\/\/10\.0\.0\.1": it is not/);
});

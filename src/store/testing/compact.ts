import { Connection } from "../etcd/connection.ts";
import { services } from "../etcdserverpb/services.ts";
import type { ContractServer } from "./contract-server.ts";

/** Forgets all history before the revision: whoever was behind it has to list anew. */
export async function compact(server: ContractServer, revision: bigint): Promise<void> {
  const connection = new Connection({ endpoints: server.endpoints });
  try {
    await connection.call(
      services.KV.Compact as never,
      { revision: String(revision) },
      { operation: `compact up to ${revision}`, isRepeatable: false },
    );
  } finally {
    connection.close();
  }
}

// Run by tests as a process of its own: node embedded-process.js DATA_DIR LISTEN. Prints its endpoint.
import { startEmbeddedServer } from "../index.ts";

const [dataDir = "", ...listen] = process.argv.slice(2);
const server = await startEmbeddedServer({
  dataDir,
  listen,
  maxWalBytes: Number(process.env.MAX_WAL_BYTES ?? 1 << 22),
});
console.log(`serving ${server.addresses.join(" ")}`);

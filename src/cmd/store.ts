import { once } from "node:events";
import { Command } from "commander";
import { pino } from "pino";
import { startEmbeddedServer } from "../store/index.ts";

interface StoreFlags {
  readonly dataDir: string;
  readonly listen: readonly string[];
}

/** `podpath store`: the embedded store as a process of its own, until SIGINT or SIGTERM. */
export function storeCommand(): Command {
  return new Command("store")
    .description("serve the etcd v3 API from files of its own, where there is no etcd")
    .requiredOption("--data-dir <directory>", "where the data is kept; made when it is not there")
    .option("--listen <address...>", "HOST:PORT (port 0: a free one) or unix:/PATH", ["127.0.0.1:2379"])
    .addHelpText("after", "\nPrints its endpoints, one a line, when it serves; logs go to stderr.")
    .action(async (flags: StoreFlags) => {
      const log = pino({ level: process.env.LOG_LEVEL ?? "info" }, pino.destination({ dest: 2, sync: true }));
      // Before anything is started, so that a signal in between is not lost.
      const stop = new AbortController();
      const stopped = once(stop.signal, "abort");
      for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort());
      await using server = await startEmbeddedServer({ dataDir: flags.dataDir, listen: flags.listen, log });
      process.stdout.write(`${server.addresses.join("\n")}\n`);
      if (!stop.signal.aborted) await stopped;
      log.info("store: stopping");
    });
}

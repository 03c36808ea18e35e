import { once } from "node:events";
import { Command, Option } from "commander";
import { startEmbeddedServer } from "../store/index.ts";
import { createLog, LOG_LEVELS, type LogLevel } from "./log.ts";

interface StoreFlags {
  readonly dataDir: string;
  readonly listen: readonly string[];
  readonly logLevel: LogLevel;
}

/** `podpath store`: the embedded store as a process of its own, until SIGINT or SIGTERM. */
export function storeCommand(): Command {
  return new Command("store")
    .description("serve the etcd v3 API from files of its own, where there is no etcd")
    .requiredOption("--data-dir <directory>", "where the data is kept; made when it is not there")
    .option("--listen <address...>", "HOST:PORT (port 0: a free one) or unix:/PATH", ["127.0.0.1:2379"])
    .addOption(new Option("--log-level <level>", "how much to log").choices(LOG_LEVELS).default("info"))
    .addHelpText("after", "\nPrints its endpoints, one a line, when it serves; logs go to stderr.")
    .action(async (flags: StoreFlags) => {
      const log = createLog("podpath-store", flags.logLevel);
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

// Brings a lab up (leases has an arena of its own), measures in it, takes it down, prints. `npm run bench` sets up first and then runs this.
import { AIM, measureCni, requireReference } from "./cni.mjs";
import { cniText } from "./cni-report.mjs";
import { measureDatapath, requireIperf } from "./datapath.mjs";
import { Lab } from "./lab.mjs";
import { AIMS, measureLeases } from "./leases.mjs";
import { leasesText } from "./leases-report.mjs";
import { describeMachine, stealMeter } from "./machine.mjs";
import { parseOptions, USAGE } from "./options.mjs";
import { datapathText, machineText } from "./report.mjs";
import { measureUdp } from "./udp.mjs";
import { udpText } from "./udp-report.mjs";

const options = parseOptions(process.argv.slice(2));
if (options.help) console.log(USAGE);
else process.exitCode = await run();

async function run() {
  const interruption = new AbortController();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(name, () => interruption.abort(name));
  const { signal } = interruption;
  const progress = progressTo(process.stderr);
  const results = { machine: describeMachine() };
  const steal = stealMeter();
  let lab;
  try {
    if (options.suites.some((suite) => suite === "datapath" || suite === "udp")) requireIperf();
    if (options.suites.includes("cni")) requireReference(options.reference);
    if (options.suites.includes("leases")) results.leases = await measureLeases(options, progress, signal);
    if (options.suites.some((suite) => suite === "datapath" || suite === "cni")) {
      progress("bringing a lab up");
      lab = await Lab.up({ nodes: options.suites.includes("cni") ? 4 : 2 }, progress, signal);
    }
    if (options.suites.includes("datapath")) results.datapath = await measureDatapath(lab, options, progress, signal);
    if (options.suites.includes("cni")) results.cni = await measureCni(lab, options, progress, signal);
    if (options.suites.includes("udp")) results.udp = await measureUdp(options, progress, signal);
    results.steal = steal();
  } catch (error) {
    progress("");
    console.error(`podpath bench: ${signal.aborted ? `ended by ${signal.reason}` : error.message}`);
    return signal.aborted ? 130 : 1;
  } finally {
    if (lab) progress("taking the lab down");
    await lab?.down();
    progress("");
  }
  console.log(options.json ? JSON.stringify({ ...results, options }) : text(results));
  return 0;
}

function text({ machine, steal, datapath, cni, udp, leases }) {
  const parts = [machineText(machine, steal)];
  if (datapath) parts.push(datapathText(datapath));
  if (cni) parts.push(cniText(cni, AIM));
  if (udp) parts.push(udpText(udp));
  if (leases) parts.push(leasesText(leases, AIMS));
  if (options.quick) parts.push("--quick: too few rounds to compare anything with.");
  return parts.join("\n\n");
}

/** On a terminal one line that changes; elsewhere a line for each step, and not one for each measurement. */
function progressTo(stream) {
  let last = "";
  return (line) => {
    if (stream.isTTY) stream.write(`\r\x1b[K${line}`);
    else {
      const step = line.split(", ")[0];
      if (step !== last && step !== "") stream.write(`${step}\n`);
      last = step;
    }
  };
}

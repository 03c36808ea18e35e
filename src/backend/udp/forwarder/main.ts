// The executable that carries the udp backend's packets: node main.js DEVICE BUILD
import { writeSync } from "node:fs";
import { Forwarder } from "./forwarder.ts";

const [device = "flannel0", build = ""] = process.argv.slice(2);
process.title = `podpath-udp ${device}`;
const forwarder = new Forwarder(device, build);
// Whoever started it may connect now.
writeSync(1, "listening\n");
forwarder.run();

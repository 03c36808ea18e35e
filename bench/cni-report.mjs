// The cni benchmark's result as text: ratios first, then whether each aim is met, then what the reader must know.

const WIDTH = 24;
const NAME_WIDTH = 36;

const LABELS = {
  ADD: "ADD",
  DEL: "DEL",
  VERSION: "VERSION (no kernel work)",
  floor: "/bin/true (the floor)",
  "ADD each": "ADD, 20 at once: each",
  "DEL each": "DEL, 20 at once: each",
  "ADD together": "ADD, 20 at once: all",
  "DEL together": "DEL, 20 at once: all",
  "floor together": "/bin/true, 20 at once",
};

/**
 * @param {Awaited<ReturnType<typeof import("./cni.mjs").measureCni>>} result
 * @param {typeof import("./cni.mjs").AIM} aim
 */
export function cniText({ chains, missing, burst, large, leaks, ours, reference }, aim) {
  const [main] = chains;
  return [
    "cni: podpath and reference in turns; ms of wall time, p50 (p99)",
    ...chains.flatMap(chainText),
    ...(burst ? burstText(burst) : []),
    ...(large ? largeText(large) : []),
    "",
    ...(main ? verdicts({ main, burst, large, chains, leaks: leaks.ours }, aim) : []),
    ...missing.map(
      ({ name, ours: our, reference: their }) =>
        `  Not measured: ${name}: ${lackText("podpath", our)}${our.length && their.length ? ", " : ""}${lackText("the reference", their)}.`,
    ),
    "",
    `  podpath: the client, ${ours.bytes} bytes, asks the agent of ${ours.node}. reference: ${reference.pluginDir}, in ${reference.node}.`,
    ...(reference.flannel || !main ? [] : withoutFlannel(main.calls, reference)),
    "  Every figure includes starting the processes, by posix_spawn from the same small harness; /bin/true is that alone.",
    "  Sequential DELs wait for the device of the one before to be gone. 20 at once: each call, and from the first start to the last end.",
    `  The reference left ${countText(leaks.reference)} behind.`,
  ].join("\n");
}

function row(name, ...cells) {
  return `  ${name.padEnd(NAME_WIDTH)}${cells.map((cell) => cell.padEnd(WIDTH)).join("")}`.trimEnd();
}

function figure({ p50, p99 }) {
  return `${p50.toFixed(2)} (${p99.toFixed(2)})`;
}

function rows(calls) {
  return Object.entries(calls).map(([name, { ratio, low, high, ours, reference }]) =>
    row(
      LABELS[name] ?? name,
      `${ratio.toFixed(2)} [${low.toFixed(2)}, ${high.toFixed(2)}]`,
      figure(ours),
      figure(reference),
    ),
  );
}

function chainText({ name, reference, count, calls, each, together, failures }) {
  const { ADD, DEL, VERSION, floor } = calls;
  return [
    "",
    row(`${name} (${count})`, "podpath / reference", "podpath", reference === name ? "reference" : reference),
    ...rows({ ADD, DEL, VERSION, floor, ...each, ...together }),
    ...failureText(failures.ours, "podpath"),
    ...failureText(failures.reference, "the reference"),
  ];
}

function burstText({ pods, failures, ...calls }) {
  return [
    "",
    row(`${pods} pods at once`, "podpath / reference", "podpath", "reference"),
    ...rows({ "all ADDs": calls["ADD together"], "all DELs": calls["DEL together"] }),
    ...failureText(failures.ours, "podpath"),
    ...failureText(failures.reference, "the reference"),
  ];
}

function largeText({ pods, seconds, add, del, rssMebibytes, failures }) {
  const { before, after, idle } = rssMebibytes;
  return [
    "",
    `  ${pods} pods on one node, 20 at once (podpath alone): ADD ${seconds.add.toFixed(1)} s, ${Math.round(pods / seconds.add)}/s, each ${figure(add)} ms;`,
    `  DEL ${seconds.del.toFixed(1)} s, ${Math.round(pods / seconds.del)}/s, each ${figure(del)} ms. The agent's RSS: ${before.toFixed(0)} MiB before, ${after.toFixed(0)} with them, ${idle.toFixed(0)} after.`,
    ...failureText(failures, "podpath"),
  ];
}

function failureText(failures, whose) {
  return failures.length === 0 ? [] : [`  ${failures.length} calls of ${whose} FAILED, the first: ${failures[0]}`];
}

function verdicts({ main, burst, large, chains, leaks }, aim) {
  const { ADD, DEL } = main.calls;
  const faster = ({ ratio }) => 1 / ratio;
  const failed = [
    ...chains.map(({ failures }) => failures.ours),
    burst?.failures.ours ?? [],
    large?.failures ?? [],
  ].flat();
  const times = `at least ${aim.timesFasterTogether} times as fast as the reference`;
  return [
    `  Aims, for ${main.name}:`,
    verdict(`ADD at most ${aim.addMilliseconds} ms`, ADD.ours.p50, ADD.ours.p50 <= aim.addMilliseconds),
    verdict(`ADD at most ${aim.shareOfReference} of the reference`, ADD.ratio, ADD.ratio <= aim.shareOfReference),
    verdict(`DEL at most ${aim.delMilliseconds} ms`, DEL.ours.p50, DEL.ours.p50 <= aim.delMilliseconds),
    ...["ADD", "DEL"].flatMap((command) => {
      const name = `${command} together`;
      const of = [["20 at once", main.together[name]], ...(burst ? [[`${burst.pods} at once`, burst[name]]] : [])];
      return of.map(([what, call]) =>
        verdict(`${command}, ${what}: ${times}`, faster(call), faster(call) >= aim.timesFasterTogether),
      );
    }),
    verdict("no call fails", failed.length, failed.length === 0, 0),
    verdict(
      "nothing is left behind",
      countText(leaks),
      Object.values(leaks).every((number) => number === 0),
    ),
  ];
}

function verdict(aim, value, isMet, digits = 2) {
  const text = typeof value === "number" ? value.toFixed(digits) : value;
  return `    ${isMet ? "met   " : "MISSED"}  ${aim}: ${text}`;
}

function countText({ links, addresses, scratch }) {
  return `${links} devices, ${addresses} addresses, ${scratch} scratch files`;
}

function lackText(whose, types) {
  return types.length > 0 ? `${whose} has no ${types.join(", ")}` : "";
}

function withoutFlannel({ ADD, VERSION }, { pluginDir }) {
  const chain = ADD.reference.p50 + VERSION.reference.p50;
  return [
    `  There is no flannel in ${pluginDir}: bridge gets what it would delegate, which spares the reference one Go program.`,
    `  With it (VERSION is the cost of one that does nothing) about ${chain.toFixed(1)} ms, of which podpath's ADD is ${(ADD.ours.p50 / chain).toFixed(2)}.`,
  ];
}

// What a lab's processes say to each other: one JSON object a line. The lifeline joins `podpath lab up` and the
// supervisor; the control socket serves every later command.
import type { ProcessId } from "../kernel/index.ts";
import type { ManifestFile } from "./manifest.ts";
import type { NodeRole } from "./topology.ts";

export interface LabSpec {
  readonly name: string;
  readonly nodes: number;
  /** Debian's etcd instead of the embedded store. */
  readonly etcd: boolean;
  readonly manifests: readonly ManifestFile[];
  /** For the agents and the store, besides what every process gets. */
  readonly daemonEnv?: Readonly<Record<string, string>>;
}

/** The three processes whose death, each alone, ends the lab; as the machine counts them. */
export interface LabProcesses {
  readonly unshare: ProcessId;
  readonly init: ProcessId;
  readonly supervisor: ProcessId;
}

export type ToSupervisor =
  | { readonly type: "start"; readonly spec: LabSpec; readonly processes: LabProcesses }
  /** Stay when the lifeline ends. Until then the lab ends with it. */
  | { readonly type: "detach" };

export type FromSupervisor =
  | { readonly type: "hello" }
  | Progress
  | { readonly type: "ready"; readonly info: LabInfo }
  | { readonly type: "detached" }
  | { readonly type: "failed"; readonly message: string };

/** A step of building or tearing down: said when it begins, and again with `ms` when it is done. */
export interface Progress {
  readonly type: "step";
  readonly step: string;
  readonly ms?: number;
}

export type ControlRequest =
  | { readonly method: "info" }
  | { readonly method: "down" }
  | { readonly method: "kill"; readonly process: string; readonly signal: NodeJS.Signals; readonly wait?: boolean }
  | { readonly method: "delete-pod"; readonly pod: string };

export type ControlReply =
  | Progress
  | { readonly type: "result"; readonly result: unknown }
  | { readonly type: "error"; readonly message: string };

export type DaemonState = "starting" | "running" | "waiting to restart" | "ended";

/** A process that the supervisor keeps. PIDs are those inside the lab. */
export interface DaemonInfo {
  readonly name: string;
  readonly state: DaemonState;
  readonly pid?: number;
  readonly restarts: number;
  /** How it ended last: `killed by SIGKILL`, `exit code 1`. */
  readonly lastExit?: string;
}

export interface NodeInfo {
  readonly name: string;
  readonly role: NodeRole;
  readonly addresses: readonly string[];
  /** The process that holds the node's namespaces. */
  readonly pid: number;
  /** From the agent's subnet.env. */
  readonly subnet?: string;
  readonly agent?: DaemonInfo;
}

export interface ContainerInfo {
  readonly name: string;
  /** The container's process 1, as the lab counts. */
  readonly pid?: number;
  readonly state: "running" | "ended";
  /** It runs the lab's own echo server: it has no command of its own. */
  readonly isEcho: boolean;
  readonly ports: readonly { readonly port: number; readonly protocol: string }[];
}

export interface PodInfo {
  readonly namespace: string;
  readonly name: string;
  readonly node: string;
  readonly ips: readonly string[];
  /** Path of the network namespace in the node. */
  readonly netns: string;
  /** The process that holds the pod's namespaces. */
  readonly pid: number;
  /** The host's end of the pod's veth pair. */
  readonly hostVeth?: string;
  readonly containers: readonly ContainerInfo[];
}

export interface ServiceInfo {
  readonly namespace: string;
  readonly name: string;
  readonly clusterIPs: readonly string[];
  readonly ports: readonly {
    readonly name: string;
    readonly protocol: string;
    readonly port: number;
    readonly nodePort?: number;
  }[];
  readonly endpoints: readonly string[];
}

/** What `lab ps --json` prints. */
export interface LabInfo {
  readonly name: string;
  readonly state: "starting" | "running" | "stopping";
  readonly since: string;
  readonly processes: LabProcesses;
  readonly stateDir: string;
  readonly rootless: boolean;
  readonly store: DaemonInfo & { readonly kind: "embedded" | "etcd"; readonly endpoint: string; readonly unix: string };
  readonly nodes: readonly NodeInfo[];
  readonly pods: readonly PodInfo[];
  readonly services: readonly ServiceInfo[];
}

// The fields of Kubernetes objects that podpath uses, under Kubernetes' own names (core/v1, discovery.k8s.io/v1).
import type { IpAddress } from "../netip/index.ts";

export interface ObjectMeta {
  readonly name: string;
  /** `default` when the object does not say. */
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
}

export type Protocol = "TCP" | "UDP";

export interface ContainerPort {
  readonly name?: string;
  readonly containerPort: number;
  readonly protocol: Protocol;
}

export interface Container {
  readonly name: string;
  readonly image?: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly env: readonly { readonly name: string; readonly value: string }[];
  readonly ports: readonly ContainerPort[];
}

export interface Pod {
  readonly kind: "Pod";
  readonly metadata: ObjectMeta;
  readonly spec: { readonly nodeName?: string; readonly containers: readonly Container[] };
  /** Set by whoever runs the pod, once it has addresses. */
  readonly status?: {
    readonly podIPs: readonly { readonly ip: IpAddress }[];
    /** Absent: ready. */
    readonly ready?: boolean;
  };
}

export interface ServicePort {
  /** Empty when the service has one port and does not name it. */
  readonly name: string;
  readonly protocol: Protocol;
  readonly port: number;
  /** A port of the pod, by number or by the name of a container port. */
  readonly targetPort: number | string;
  readonly nodePort?: number;
}

export interface Service {
  readonly kind: "Service";
  readonly metadata: ObjectMeta;
  readonly spec: {
    readonly type: "ClusterIP" | "NodePort";
    /** Empty: headless (`clusterIP: None`), or not allocated yet. */
    readonly clusterIPs: readonly IpAddress[];
    readonly isHeadless: boolean;
    readonly selector?: Readonly<Record<string, string>>;
    readonly ports: readonly ServicePort[];
    readonly sessionAffinity: "None" | "ClientIP";
    readonly publishNotReadyAddresses: boolean;
  };
}

export interface Endpoint {
  readonly addresses: readonly IpAddress[];
  /** All three as Kubernetes defaults them: ready, serving, not terminating. */
  readonly conditions: { readonly ready: boolean; readonly serving: boolean; readonly terminating: boolean };
  readonly nodeName?: string;
  readonly targetRef?: { readonly kind: string; readonly namespace: string; readonly name: string };
}

export interface EndpointSlice {
  readonly kind: "EndpointSlice";
  readonly metadata: ObjectMeta;
  readonly addressType: "IPv4" | "IPv6";
  readonly endpoints: readonly Endpoint[];
  readonly ports: readonly { readonly name: string; readonly protocol: Protocol; readonly port: number }[];
}

/** The label that ties a slice to its Service. */
export const SERVICE_NAME_LABEL = "kubernetes.io/service-name";

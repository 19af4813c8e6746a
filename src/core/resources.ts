/**
 * xDS resources as plain objects: what the compiler makes, what the decoder reads, in the protos' own shape. Field names as in the
 * .proto (snake_case), enums by name, 64-bit integers as numbers, bytes as Uint8Array, durations `{ seconds, nanos }`, wrappers
 * `{ value }`, and a packed `Any` unfolded to `{ '@type': 'type.googleapis.com/…', …fields }` (one of an unknown type keeps
 * `value: Uint8Array`). A field that is not set is absent. Bytes exist only where there is a wire (`xds/wire/`).
 */
export type Resource = Readonly<Record<string, unknown>>;

export const TYPE_PREFIX = 'type.googleapis.com/';
export const LISTENER = `${TYPE_PREFIX}envoy.config.listener.v3.Listener`;
export const ROUTE = `${TYPE_PREFIX}envoy.config.route.v3.RouteConfiguration`;
export const CLUSTER = `${TYPE_PREFIX}envoy.config.cluster.v3.Cluster`;
export const ENDPOINT = `${TYPE_PREFIX}envoy.config.endpoint.v3.ClusterLoadAssignment`;
/** Certificates and trust (SDS). Not part of a configuration: it comes from a CA or an agent, and holds private keys, so that it is never shown. */
export const SECRET = `${TYPE_PREFIX}envoy.extensions.transport_sockets.tls.v3.Secret`;

/**
 * What stands before a form of a Service's name in the name of a listener that is for the Service's own servers (gRFC A36), wherever they listen: what
 * policies with `side: server` say. Served to those who ask for it by name; to ask for everything (`*`) does not mean it, or an Envoy would listen there.
 */
export const INBOUND_PREFIX = 'inmesh.dev/inbound/';

/** Listener of servers whose name is no Service's: what is said for the whole mesh. There is none where that asks nothing. */
export const MESH_INBOUND = `${INBOUND_PREFIX}*`;

/** Name of a listener that is none: what the configuration says to every client of ours, in its `metadata`. Served to those who ask for it by name. */
export const SETTINGS_LISTENER = 'inmesh.dev/settings';

/** Whether only inmesh asks for a listener of that name, knowing what it is. */
export const isOwnListener = (name: string): boolean => name.startsWith(INBOUND_PREFIX) || name === SETTINGS_LISTENER;

/** The four that a client needs, in the order in which a server sends additions: make before break. */
export const RESOURCE_TYPES = [CLUSTER, ENDPOINT, LISTENER, ROUTE] as const;
export type ResourceType = (typeof RESOURCE_TYPES)[number];

/** A complete, consistent configuration of a whole mesh: by type, then by name. */
export type ResourceSet = Readonly<Record<ResourceType, ReadonlyMap<string, Resource>>>;

/** What tells of changes to one resource: the three meanings of grpc-go's watcher (gRFC A88). */
export interface ResourceWatcher {
  changed(resource: unknown): void;
  /** Does not exist, or cannot be used, and nothing from before can either. */
  failed(error: Error, reason: 'does-not-exist' | 'invalid' | 'unreachable'): void;
  /** Trouble, but the last value stands. */
  ambient(error: Error): void;
}

/** Envoy `ClientResourceStatus`, with the two that gRFC A88 adds. */
export type ResourceState = 'REQUESTED' | 'DOES_NOT_EXIST' | 'ACKED' | 'NACKED' | 'RECEIVED_ERROR' | 'TIMEOUT';

/** One resource that somebody watches, as CSDS shows it (gRFC A40). */
export interface DumpedResource {
  readonly type: ResourceType;
  readonly name: string;
  readonly state: ResourceState;
  /** Of the value in use; '' when there is none. */
  readonly version: string;
  /** Wall time of the last change of state, in milliseconds; undefined while nothing was heard. */
  readonly updatedAt: number | undefined;
  /** The value in use: as it came over the wire, or as the compiler made it. */
  readonly raw: Uint8Array | Resource | undefined;
  /** What went wrong last; undefined when nothing has since the last good value. */
  readonly error:
    | {
        readonly details: string;
        /** Of the update that was refused; '' when it was none. */
        readonly version: string;
        readonly attemptedAt: number;
        /** What was refused; undefined when there is nothing to show. */
        readonly raw: Uint8Array | Resource | undefined;
      }
    | undefined;
}

/** What a source of resources knows: `ClientConfig` of CSDS. */
export interface ResourcesDump {
  /** `envoy.config.core.v3.Node`; undefined: embedded. */
  readonly node: Resource | undefined;
  /** `client_scope` (gRFC A71). */
  readonly scope: string;
  readonly resources: readonly DumpedResource[];
}

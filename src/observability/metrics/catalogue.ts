/** One metric as it is exported. `docs/telemetry.md` has a row for each; a test compares the two. */
export interface Instrument {
  readonly name: string;
  readonly kind: 'histogram' | 'counter' | 'gauge';
  /** UCUM, as OpenTelemetry writes units. */
  readonly unit: string;
  readonly description: string;
}

const instrument = (name: string, kind: Instrument['kind'], unit: string, description: string): Instrument => ({
  name,
  kind,
  unit,
  description,
});

/** OpenTelemetry semantic conventions 1.45, HTTP metrics (stable): one value per request on the wire, so per attempt. */
export const HTTP_REQUEST_DURATION = instrument(
  'http.client.request.duration',
  'histogram',
  's',
  'Duration of HTTP requests, one per attempt.',
);
/** OpenTelemetry semantic conventions 1.45, RPC metrics (stable): the whole call with its retries, like gRFC A66's `grpc.client.call.duration`. */
export const RPC_CALL_DURATION = instrument(
  'rpc.client.call.duration',
  'histogram',
  's',
  'Duration of gRPC calls, retries included.',
);
export const CALL_DURATION = instrument(
  'mesh.client.call.duration',
  'histogram',
  's',
  'Duration of calls through the mesh, of any protocol, retries included.',
);
export const CALL_IO = instrument('mesh.client.io', 'counter', 'By', 'Body bytes of calls, by direction.');
export const ATTEMPTS = instrument('mesh.client.attempts', 'counter', '{attempt}', 'Attempts sent to a cluster.');
export const ERRORS = instrument(
  'mesh.client.errors',
  'counter',
  '{call}',
  'Calls that failed without a whole reply, by code.',
);
export const RETRIES = instrument(
  'mesh.client.retries',
  'counter',
  '{attempt}',
  'Attempts after the first, by what caused them.',
);
export const BUDGET_SPENT = instrument(
  'mesh.client.retry.budget_exhausted',
  'counter',
  '{retry}',
  'Retries not made because the retry budget was spent.',
);
export const CIRCUIT_REJECTIONS = instrument(
  'mesh.client.circuit.rejections',
  'counter',
  '{call}',
  'Calls refused at a circuit limit.',
);
export const HEDGES = instrument(
  'mesh.client.hedges',
  'counter',
  '{attempt}',
  'Attempts sent beside one that was slow.',
);
export const MIRRORS = instrument(
  'mesh.client.mirrors',
  'counter',
  '{call}',
  'Calls that were to be mirrored, by what became of the copy.',
);
export const FALLBACKS = instrument(
  'mesh.client.fallbacks',
  'counter',
  '{call}',
  'Calls that something else answered in place of an error.',
);
export const BREAKER_MOVES = instrument(
  'mesh.client.breaker.transitions',
  'counter',
  '{transition}',
  'Times that a breaker changed its state.',
);
export const EXPIRED = instrument(
  'mesh.server.deadline_expired',
  'counter',
  '{request}',
  'Requests whose caller had given up before their handler ran, by whether they were refused.',
);
export const SHED = instrument(
  'mesh.server.shed',
  'counter',
  '{request}',
  'Requests refused because the server was full, by what told.',
);
export const FAULTS = instrument(
  'mesh.faults',
  'counter',
  '{fault}',
  'Faults injected on purpose, by policy and kind.',
);
export const EXPERIMENTS_STOPPED = instrument(
  'mesh.experiments.stopped',
  'counter',
  '{experiment}',
  'Experiments with faults that ended, by what ended them.',
);
export const LIMIT_REFUSED = instrument(
  'mesh.limit.refused',
  'counter',
  '{request}',
  'Requests beyond a rate limit, by rule and reason; those of shadow rules went on all the same.',
);
export const LIMIT_QUEUED = instrument(
  'mesh.limit.queued',
  'counter',
  '{request}',
  'Requests that waited in line for a rate limit and had their turn.',
);
export const LIMIT_STORE_MOVES = instrument(
  'mesh.limit.store.transitions',
  'counter',
  '{transition}',
  'Times that a store of limits was lost, or came back.',
);
export const QUOTA_USED = instrument(
  'mesh.quota.used',
  'counter',
  '{unit}',
  'What requests that metered rules let through counted, by plan.',
);
export const AUTHZ_ALLOW = instrument(
  'inbound.http.authz.allow',
  'counter',
  '{request}',
  'Requests that authorization allowed, by policy; those of a dry run apart.',
);
export const AUTHZ_DENY = instrument(
  'inbound.http.authz.deny',
  'counter',
  '{request}',
  'Requests that authorization denied, by policy; those of a dry run went on all the same.',
);
export const AUTHN_REFUSED = instrument(
  'mesh.authn.refused',
  'counter',
  '{request}',
  'Requests that servers refused for the token of an end user, by what was wrong with it.',
);
export const TLS_REFUSED = instrument(
  'mesh.tls.refused',
  'counter',
  '{connection}',
  'Connections that servers refused, by why: the certificate, plain text, the handshake.',
);
export const XDS_UPDATES = instrument(
  'mesh.xds.updates',
  'counter',
  '{update}',
  'xDS responses accepted, by resource type.',
);
export const XDS_NACKS = instrument(
  'mesh.xds.nacks',
  'counter',
  '{update}',
  'xDS responses refused, by resource type.',
);
export const XDS_CONNECTED = instrument(
  'mesh.xds.connected',
  'gauge',
  '1',
  '1 while the stream to the control plane is up, else 0.',
);
export const CONFIG_CHANGES = instrument(
  'mesh.config.changes',
  'counter',
  '{change}',
  'Configurations taken into use, by source.',
);
export const CONFIG_REJECTED = instrument(
  'mesh.config.rejected',
  'counter',
  '{change}',
  'Configurations refused, by source.',
);
export const SERIES = instrument('mesh.telemetry.series', 'gauge', '{series}', 'Label sets held for these metrics.');
export const OVERFLOW = instrument(
  'mesh.telemetry.overflow',
  'counter',
  '{value}',
  'Values counted under "other" because there were too many label sets.',
);
export const ACCESS_LOG_DROPPED = instrument(
  'mesh.access_log.dropped',
  'counter',
  '{line}',
  'Access log lines dropped because writing them could not keep up.',
);

/** A histogram that parts of the mesh fill by `Meter.record`. */
export interface Recorded {
  readonly instrument: Instrument;
  /** Ascending and inclusive. */
  readonly bounds: readonly number[];
  /** At most four; other labels are not taken in. */
  readonly attributes: readonly string[];
}

/** Every name that `Meter.record` knows. */
export const RECORDED: readonly Recorded[] = [
  {
    // gRFC A78. "Endpoints without usable weights will be recorded as weight 0": they have a bucket of their own.
    instrument: instrument(
      'grpc.lb.wrr.endpoint_weights',
      'histogram',
      '{weight}',
      'Weight of each endpoint at each update of weighted round robin; 0 is not usable.',
    ),
    bounds: [0, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000],
    attributes: ['mesh.cluster'],
  },
];

export const INSTRUMENTS: readonly Instrument[] = [
  HTTP_REQUEST_DURATION,
  RPC_CALL_DURATION,
  CALL_DURATION,
  CALL_IO,
  ATTEMPTS,
  ERRORS,
  RETRIES,
  BUDGET_SPENT,
  CIRCUIT_REJECTIONS,
  HEDGES,
  MIRRORS,
  FALLBACKS,
  BREAKER_MOVES,
  EXPIRED,
  SHED,
  FAULTS,
  EXPERIMENTS_STOPPED,
  LIMIT_REFUSED,
  LIMIT_QUEUED,
  LIMIT_STORE_MOVES,
  QUOTA_USED,
  AUTHZ_ALLOW,
  AUTHZ_DENY,
  AUTHN_REFUSED,
  TLS_REFUSED,
  XDS_UPDATES,
  XDS_NACKS,
  XDS_CONNECTED,
  CONFIG_CHANGES,
  CONFIG_REJECTED,
  SERIES,
  OVERFLOW,
  ACCESS_LOG_DROPPED,
  ...RECORDED.map((recorded) => recorded.instrument),
];

import { askedToWaitMs } from '../../core/asked-to-wait.js';
import type { Call } from '../../core/call.js';
import { classifyError, classifyReply, grpcStatusOf, type Outcome } from '../../core/classify.js';
import { asMeshError, type MeshError } from '../../core/errors.js';
import type { LocalityLoad } from '../../core/load-reports.js';
import type { AttemptSpan } from '../../core/meter.js';
import { backendMetrics } from '../../core/orca.js';
import type { Reply, ReplyEnd } from '../../core/reply.js';
import type { ClientEnv } from '../env.js';
import { attemptFailed, replyEnded } from '../outlier/attempt-result.js';
import { ProtocolError } from '../transport/errors.js';
import type { Endpoint } from './endpoint.js';
import { showEndpointHost } from './shown-host.js';
import type { UnderWay } from './under-way.js';
import { mayMove, neverLeft } from './unsent.js';

/**
 * Finds another endpoint for a call that never left for this one, or rejects with `error`. `since`: monotonic milliseconds of when it was
 * sent there.
 */
export type Elsewhere = (call: Call, endpoint: Endpoint, error: MeshError, since: number) => Promise<Reply>;

/** Envoy: the server wants no more calls, whatever its checks say. */
const IMMEDIATE_FAIL = 'x-envoy-immediate-health-check-fail';
/** What a refusal counts as, so that an endpoint that fails fast is no magnet: 5 s, Linkerd's load biaser. */
const REFUSAL_LATENCY_MS = 5_000;
/**
 * What a timeout counts as, in times of what was waited: how long it would have taken nobody knows, and an endpoint with nothing under way must not
 * cost less than those that are busy and answer. As much as a refusal for a limit of a second.
 */
const TIMEOUT_WEIGHT = 5;

/**
 * Sends one attempt to the endpoint and writes down what came of it: load, latency, span, metrics. One that never left goes to `elsewhere`: a
 * failure of the endpoint, and none of the call.
 */
export function send(
  env: ClientEnv,
  underWay: UnderWay,
  endpoint: Endpoint,
  https: boolean,
  call: Call,
  elsewhere: Elsewhere,
): Promise<Reply> {
  const { record } = call;
  record.endpoint = endpoint.key;
  record.version = endpoint.config.labels['version'];
  showEndpointHost(call, endpoint.config.hostname);
  const span = env.tracer?.attempt(call);
  const startedAt = env.clock.now();
  endpoint.inflight++;
  const { load } = endpoint;
  load?.started();
  const place = underWay.begin(call);
  return endpoint
    .transport(call.protocol, https)
    .call(call)
    .then(
      (reply) => {
        const headAt = env.clock.now();
        if (endpoint.reach !== 'reached') endpoint.reached(headAt);
        if (endpoint.onFailNow !== undefined && reply.headers[IMMEDIATE_FAIL] !== undefined) endpoint.onFailNow();
        reply.onEnd((end) => {
          underWay.end(place);
          const refused = refusedBy(call, reply, end);
          endpoint.latency.observe(
            refused ? Math.max(REFUSAL_LATENCY_MS, headAt - startedAt) : headAt - startedAt,
            headAt,
          );
          if (refused) holdOff(endpoint, reply, end, env);
          const outcome = classifyReply(call, reply, end);
          if (load !== undefined) countReply(load, call, reply, end, outcome);
          const { monitor, onReport } = endpoint;
          if (monitor !== undefined) replyEnded(monitor, call, reply, end, env.clock.now());
          if (onReport !== undefined) tellReport(onReport, reply, end, env.clock.now());
          finish(env, endpoint, call, startedAt, span, reply, end, end.error, outcome);
        });
        return reply;
      },
      (thrown: unknown) => {
        underWay.end(place);
        const error = asMeshError(
          thrown,
          (cause) => new ProtocolError(endpoint.key, String(cause), 'maybe', { cause }),
        );
        const now = env.clock.now();
        const outcome = classifyError(error);
        const took = now - startedAt;
        if (error.code === 'DEADLINE_EXCEEDED') endpoint.latency.observe(TIMEOUT_WEIGHT * took, now);
        else if (outcome === 'failure') endpoint.latency.observe(Math.max(REFUSAL_LATENCY_MS, took), now);
        // A caller who gave up says that it takes this long at least (tower's peak EWMA counts a call that is dropped, too).
        else if (took > endpoint.latency.value(now)) endpoint.latency.observe(took, now);
        if (load !== undefined) {
          if (neverLeft(error)) load.unsent();
          else load.finished(false, undefined);
        }
        if (endpoint.monitor !== undefined) attemptFailed(endpoint.monitor, error, now);
        finish(env, endpoint, call, startedAt, span, undefined, undefined, error, outcome);
        if (error.code === 'CONNECT_FAILED') endpoint.connectFailed(now);
        else if (error.reached === 'yes') endpoint.reached(now);
        if (neverLeft(error) && mayMove(call)) return elsewhere(call, endpoint, error, startedAt);
        record.raise(error.flag);
        throw error;
      },
    );
}

/** "Come back later": until then the endpoint costs as much, for balancers that go by latency. */
function holdOff(endpoint: Endpoint, reply: Reply, end: ReplyEnd, { clock }: ClientEnv): void {
  const delay = askedToWaitMs(reply.headers, end.trailers, clock);
  if (delay !== undefined) endpoint.latency.hold(delay, clock.now());
}

/** gRFC A58: what the backend says of itself in the trailers; HTTP has it in the head, too. */
function tellReport(onReport: NonNullable<Endpoint['onReport']>, reply: Reply, end: ReplyEnd, now: number): void {
  const report = backendMetrics(end.trailers, reply.headers);
  if (report !== undefined) onReport(report, now);
}

/** gRFC A27: a call succeeded when its status is OK. HTTP has none: there it is what counts as a success elsewhere. */
function countReply(load: LocalityLoad, call: Call, reply: Reply, end: ReplyEnd, outcome: Outcome): void {
  const succeeded =
    call.protocol === 'grpc' ? end.error === undefined && grpcStatusOf(reply, end) === 0 : outcome === 'success';
  load.finished(succeeded, load.wantsMetrics ? backendMetrics(end.trailers, reply.headers) : undefined);
}

/** The server said "not now": 429 and 503, RESOURCE_EXHAUSTED and UNAVAILABLE, or the reply broke off. */
function refusedBy(call: Call, reply: Reply, end: ReplyEnd): boolean {
  if (call.protocol === 'http' && (reply.status === 429 || reply.status === 503)) return true;
  if (end.error !== undefined) return end.error.origin === 'network';
  if (call.protocol === 'http') return false;
  const status = grpcStatusOf(reply, end);
  return status === 8 || status === 14;
}

function finish(
  env: ClientEnv,
  endpoint: Endpoint,
  call: Call,
  startedAt: number,
  span: AttemptSpan | undefined,
  reply: Reply | undefined,
  end: ReplyEnd | undefined,
  error: MeshError | undefined,
  outcome: Outcome,
): void {
  endpoint.released();
  const finished = { call, reply, end, error, outcome, durationMs: env.clock.now() - startedAt };
  env.meter.attemptFinished(finished);
  span?.finished(finished);
}

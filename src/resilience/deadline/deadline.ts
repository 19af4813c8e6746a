import { ambient } from '../../core/ambient.js';
import type { Body } from '../../core/body.js';
import type { Call } from '../../core/call.js';
import type { Clock } from '../../core/clock.js';
import type { DeadlineEntry, Deadlines } from '../../core/deadlines.js';
import type { MeshError } from '../../core/errors.js';
import { PRIORITY_HEADER, parsePriority } from '../../core/mesh-headers.js';
import type { Reply } from '../../core/reply.js';
import type { Filter, Service } from '../../core/service.js';
import { DeadlineExceededError } from './errors.js';
import { workDeadline } from './reserve.js';

export interface DeadlineEnv {
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  /** Milliseconds that a request being served keeps of its time; undefined: `defaultReserveMs`. */
  readonly reserveMs?: number | undefined;
}

/** How long a route lets a call take. */
export interface RouteTimeout {
  /**
   * Whole call in milliseconds; 0 is none; undefined: DEFAULT_HEAD_TIMEOUT_MS when the application set no limit. Not for gRPC, which "will not
   * support RouteAction.timeout" (gRFC A31).
   */
  readonly timeoutMs: number | undefined;
  /** Cap on a gRPC call (`max_stream_duration`), in milliseconds; 0 or undefined: none. */
  readonly maxStreamDurationMs: number | undefined;
  /** How long it may stand still (`idle_timeout`), which is kept elsewhere; undefined: UPLOAD_IDLE_MS for uploads to which nobody gave a limit. */
  readonly idleTimeoutMs?: number | undefined;
}

/**
 * How long a call to which nobody gave a limit waits for the head of its reply: 15 s, Envoy's `RouteAction.timeout` default.
 * As there, it begins when the request has been sent whole; unlike there, it does not cut a reply that has begun, so that event streams and downloads work without configuration.
 */
export const DEFAULT_HEAD_TIMEOUT_MS = 15_000;
/** How long an upload to which nobody gave a limit may stand still: 5 min, the default of Envoy's `stream_idle_timeout`. A server that reads nothing would hold it for ever. */
export const UPLOAD_IDLE_MS = 300_000;

/**
 * The limit that the call itself brings: the application's `timeoutMs`, and what is left to the request that is being served (core/ambient), less
 * what that keeps for itself. Above everything that waits, so that one deadline covers configuration, queues, every attempt and every backoff.
 * The request's priority comes along: as important as what it is made for, unless the call says otherwise.
 */
export const callDeadline =
  (env: DeadlineEnv): Filter =>
  (next) =>
  (call) => {
    const inherited = ambient();
    if (call.timeoutMs !== undefined) call.deadline = env.clock.now() + call.timeoutMs;
    call.priority ??= parsePriority(call.headers[PRIORITY_HEADER]) ?? inherited?.priority;
    if (inherited !== undefined) {
      const until = workDeadline(inherited, env.reserveMs);
      if (until < call.deadline) call.deadline = until;
      const parent = inherited.cancellation;
      if (parent !== undefined) {
        const cancel = (reason: MeshError): void => call.cancel(reason);
        parent.add(cancel);
        if (call.cancellation.reason !== undefined) return Promise.reject(call.cancellation.reason);
        return release(watched(env, next, call), () => parent.remove(cancel));
      }
    }
    return watched(env, next, call);
  };

/** Narrows the deadline to what the route allows: "result = min(application, route)" - gRFC A31. */
export const routeDeadline = (route: RouteTimeout, env: DeadlineEnv): Filter | undefined => {
  const { timeoutMs } = route;
  const cap = route.maxStreamDurationMs === 0 ? undefined : route.maxStreamDurationMs;
  if (timeoutMs === 0 && cap === undefined) return undefined;
  const ofHttp = timeoutMs === 0 ? undefined : timeoutMs;
  return (next) => (call) => {
    const limit = call.protocol === 'grpc' ? cap : ofHttp;
    if (limit !== undefined) {
      const at = env.clock.now() + limit;
      if (at >= call.deadline) return next(call);
      call.deadline = at;
      return watched(env, next, call);
    }
    const nobodyAsked =
      timeoutMs === undefined && call.deadline === Number.POSITIVE_INFINITY && call.protocol === 'http';
    return nobodyAsked ? headWithin(route.idleTimeoutMs === undefined, env, next, call) : next(call);
  };
};

/**
 * Cancels the call when its head takes longer than DEFAULT_HEAD_TIMEOUT_MS. Not a deadline: nobody is told of it, and it ends with the head. `idle`: also
 * when its upload stands still before that.
 */
function headWithin(idle: boolean, env: DeadlineEnv, next: Service, call: Call): Promise<Reply> {
  const { clock, deadlines } = env;
  let entry: DeadlineEntry | undefined;
  let over = false;
  const wait = (): void => {
    entry?.stop();
    const startedAt = clock.now();
    if (over) return;
    call.headBy = startedAt + DEFAULT_HEAD_TIMEOUT_MS;
    entry = deadlines.watch(call.headBy, () => expire(env, call, startedAt));
  };
  let movedAt = Number.NaN;
  const moved = (): void => {
    movedAt = clock.now();
  };
  /** One entry at a time: what moved meanwhile is looked at when it is due. */
  const watchUpload = (): void => {
    entry = deadlines.watch(movedAt + UPLOAD_IDLE_MS, () => {
      if (clock.now() - movedAt < UPLOAD_IDLE_MS) watchUpload();
      else call.cancel(stoodStill(call));
    });
  };
  const body = call.body;
  // Envoy's route timeout "spans between the point at which the entire downstream request has been received and ...": an upload takes its time.
  if (body === undefined || body.replayable) wait();
  else {
    call.body = noticed(body, moved, wait);
    moved();
    if (idle) watchUpload();
  }
  const stop = (): void => {
    over = true;
    entry?.stop();
  };
  return next(call).then(
    (reply) => {
      stop();
      return reply;
    },
    (error: unknown) => {
      stop();
      throw error;
    },
  );
}

const stoodStill = ({ record }: Call): DeadlineExceededError =>
  new DeadlineExceededError(
    `nothing of the request body moved for ${UPLOAD_IDLE_MS} ms (stream_idle_timeout); give the call or its route a timeout for another limit`,
    record.attempts === 0 ? 'no' : 'maybe',
  );

/** `body`, which tells of each chunk that is taken, and when the last one has been. */
const noticed = (body: Body, moved: () => void, ended: () => void): Body => ({
  size: body.size,
  replayable: false,
  cancel: (reason) => body.cancel(reason),
  pipe: (sink) =>
    body.pipe({
      write: (chunk) => {
        moved();
        return sink.write(chunk);
      },
      end: (trailers) => {
        ended();
        sink.end(trailers);
      },
      fail: (error) => sink.fail(error),
    }),
});

/** Cancels the call when its deadline passes, up to the end of the reply. */
function watched(env: DeadlineEnv, next: Service, call: Call): Promise<Reply> {
  const at = call.deadline;
  if (at === Number.POSITIVE_INFINITY) return next(call);
  const startedAt = env.clock.now();
  if (at <= startedAt) {
    // Work that nobody waits for is not sent.
    return Promise.reject(new DeadlineExceededError('the deadline passed before the call was sent', 'no'));
  }
  const entry = env.deadlines.watch(at, () => expire(env, call, startedAt));
  return release(next(call), () => entry.stop());
}

function expire(env: DeadlineEnv, call: Call, startedAt: number): void {
  const { attempts, endpoint } = call.record;
  const waited = Math.round(env.clock.now() - startedAt);
  const where = endpoint === undefined ? '' : `, last at endpoint ${endpoint}`;
  const message = `deadline exceeded after ${waited} ms and ${attempts} attempt(s)${where}`;
  call.cancel(new DeadlineExceededError(message, attempts === 0 ? 'no' : 'maybe'));
}

/** Runs `done` once, at the end of the reply or when there is none. */
function release(replying: Promise<Reply>, done: () => void): Promise<Reply> {
  return replying.then(
    (reply) => {
      reply.onEnd(done);
      return reply;
    },
    (error: unknown) => {
      done();
      throw error;
    },
  );
}

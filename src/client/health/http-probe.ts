import type { BodySink } from '../../core/body.js';
import { Call } from '../../core/call.js';
import { CancelledError, type MeshError } from '../../core/errors.js';
import { headerFields } from '../../core/headers.js';
import type { HealthCheckConfig } from '../../core/model/health-check.js';
import type { Reply } from '../../core/reply.js';
import { compileMutation, type Mutator } from '../../routing/header-mutation.js';
import { ProbeConnection } from './probe-connection.js';
import { type CheckResult, DEGRADED, failed, PASSED, type Probe, type ProbeEnv, type ProbeTarget } from './probe.js';

export type HttpCheck = Extract<HealthCheckConfig['check'], { kind: 'http' }>;

/** Envoy's is "Envoy/HC". */
export const USER_AGENT = 'inmesh/HC';
/** What a reply may have, in bytes, and still be read to its end, so that the connection can be used again. */
const MAX_BODY_BYTES = 65_536;

/** Envoy's `http_health_check`: a request, and a status that is expected. */
export class HttpProbe implements Probe {
  readonly #connection: ProbeConnection;
  readonly #mutate: Mutator | undefined;

  constructor(
    private readonly check: HttpCheck,
    private readonly target: ProbeTarget,
    private readonly env: ProbeEnv,
  ) {
    this.#connection = new ProbeConnection(target, check.http2 ? env.transports.http2 : env.transports.http1, env);
    this.#mutate = compileMutation(check.requestHeaders);
  }

  start(done: (result: CheckResult) => void): () => void {
    const call = this.#call();
    let over = false;
    const finish = (result: CheckResult): void => {
      if (over) return;
      over = true;
      this.#connection.done();
      done(result);
    };
    this.#connection.transport.call(call).then(
      (reply) => {
        reply.onEnd(({ error }) => finish(error === undefined ? this.#judge(reply) : lost(error)));
        reply.body.pipe(
          // The head says it all; the rest is not worth waiting for.
          discard(() => {
            finish(this.#judge(reply));
            reply.body.cancel();
          }),
        );
      },
      (error: MeshError) => finish(lost(error)),
    );
    return () => {
      if (over) return;
      over = true;
      call.cancel(new CancelledError('the health check was given up'));
      this.#connection.drop();
    };
  }

  close(): void {
    this.#connection.drop();
  }

  #call(): Call {
    const { host, tls } = this.target;
    const { method, path } = this.check;
    const headers = headerFields({ 'user-agent': USER_AGENT });
    const call = new Call({
      protocol: 'http',
      scheme: tls === undefined ? 'http' : 'https',
      authority: host,
      method,
      path,
      headers,
    });
    this.#mutate?.(call.headers, call, undefined, this.env);
    return call;
  }

  #judge({ status, headers }: Reply): CheckResult {
    const { expected, retriable } = this.check;
    if (includes(expected, status)) return headers['x-envoy-degraded'] === undefined ? PASSED : DEGRADED;
    return failed('active', `status ${status}`, retriable !== undefined && includes(retriable, status));
  }
}

const lost = (error: MeshError): CheckResult => failed('network', error.message);

const includes = (ranges: readonly { readonly start: number; readonly end: number }[], status: number): boolean =>
  ranges.some(({ start, end }) => status >= start && status < end);

/** Reads a body away, and says when it is too much. */
function discard(tooMuch: () => void): BodySink {
  let bytes = 0;
  return {
    write(chunk) {
      const before = bytes;
      bytes += chunk.byteLength;
      if (before <= MAX_BODY_BYTES && bytes > MAX_BODY_BYTES) tooMuch();
      return true;
    },
    end() {},
    fail() {},
  };
}

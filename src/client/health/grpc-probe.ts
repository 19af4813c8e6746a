import type { HealthCheckConfig } from '../../core/model/health-check.js';
import { servingStatusName, SERVING } from './health-message.js';
import { openHealthStream } from './health-stream.js';
import { ProbeConnection } from './probe-connection.js';
import { type CheckResult, failed, PASSED, type Probe, type ProbeEnv, type ProbeTarget } from './probe.js';

export type GrpcCheck = Extract<HealthCheckConfig['check'], { kind: 'grpc' }>;

/** Envoy's `grpc_health_check`: `Health/Check` must say SERVING. Any other answer, UNIMPLEMENTED too, is unhealthy at once. */
export class GrpcProbe implements Probe {
  readonly #connection: ProbeConnection;

  constructor(
    private readonly check: GrpcCheck,
    private readonly target: ProbeTarget,
    env: ProbeEnv,
  ) {
    this.#connection = new ProbeConnection(target, env.transports.http2, env);
  }

  start(done: (result: CheckResult) => void): () => void {
    const { host, tls, timeoutMs } = this.target;
    let answer: number | undefined;
    let answers = 0;
    const cancel = openHealthStream(
      this.#connection.transport,
      {
        method: 'Check',
        service: this.check.service,
        authority: host,
        scheme: tls === undefined ? 'http' : 'https',
        timeoutMs,
      },
      {
        message: (status) => {
          answer = status;
          answers++;
        },
        ended: (code, detail, network) => {
          this.#connection.done();
          if (network) done(failed('network', detail));
          else if (code !== 0) done(failed('active', `gRPC status ${code}: ${detail}`));
          else if (answers === 1 && answer === SERVING) done(PASSED);
          else done(failed('active', answers === 1 ? servingStatusName(answer as number) : `${answers} responses`));
        },
      },
    );
    return () => {
      cancel();
      this.#connection.drop();
    };
  }

  close(): void {
    this.#connection.drop();
  }
}

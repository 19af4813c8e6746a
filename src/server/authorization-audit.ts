import type { Clock } from '../core/clock.js';
import type { Logger } from '../core/log.js';
import type { Meter } from '../core/meter.js';
import { type AuditEvent, auditEvent, stdoutLine } from '../identity/authz/audit.js';
import type { AuthzRequest } from '../identity/authz/request.js';
import type { RuleDecision } from '../identity/authz/rules.js';

/** Lines a second at most: who floods a server with what is refused must not flood its log. Beyond that they are counted. */
export const AUDIT_LINES_PER_SECOND = 100;

interface AuditEnv {
  readonly clock: Clock;
  readonly meter: Meter;
  readonly logger: Logger;
  /** Where lines of gRPC's stdout logger go. Absent: standard output. */
  readonly stdout?: ((line: string) => void) | undefined;
}

/**
 * Where decisions are told that somebody wants to hear of (gRFC A59): the channel `mesh:authz:audit`, the mesh's logger, standard output. The logger is told at `warn`:
 * nobody gets these lines without asking for them, and who asks has them without another logger than the mesh's own.
 */
export class AuditTrail {
  readonly #stdout: (line: string) => void;
  #second = Number.NaN;
  #lines = 0;
  /** Lines that were left out since the last one. */
  #left = 0;

  constructor(private readonly env: AuditEnv) {
    this.#stdout = env.stdout ?? ((line) => void process.stdout.write(line));
  }

  tell(decision: RuleDecision, request: AuthzRequest): void {
    const event = auditEvent(decision, request);
    this.env.meter.event({ kind: 'authz:audit', ...event, shadow: decision.shadow });
    if (!this.#mayWrite()) return;
    for (const logger of decision.audit) {
      if (logger === 'stdout') this.#stdout(stdoutLine(event, this.env.clock.wallTime()));
      else this.#log(event, decision.shadow);
    }
  }

  #log({ rpcMethod: path, method, ...event }: AuditEvent, shadow: boolean): void {
    this.env.logger.warn('authorization', this.#fields({ method, path, ...event, shadow }));
  }

  /** A request that no policy could judge. */
  ambiguous(fault: string): void {
    if (this.#mayWrite())
      this.env.logger.info('request refused: it can be read in several ways', this.#fields({ fault }));
  }

  #fields(fields: Record<string, unknown>): Record<string, unknown> {
    const left = this.#left;
    this.#left = 0;
    return left === 0 ? fields : { ...fields, leftOut: left };
  }

  #mayWrite(): boolean {
    const second = Math.floor(this.env.clock.now() / 1_000);
    if (second !== this.#second) {
      this.#second = second;
      this.#lines = 0;
    }
    if (this.#lines < AUDIT_LINES_PER_SECOND) {
      this.#lines++;
      return true;
    }
    this.#left++;
    return false;
  }
}

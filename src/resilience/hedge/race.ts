import { type Body, BytesBody } from '../../core/body.js';
import { type Call, CallRecord } from '../../core/call.js';
import { callersContext } from '../../core/context.js';
import type { DeadlineEntry } from '../../core/deadlines.js';
import { discard } from '../../core/discard.js';
import { furthest, isRefusal, MeshError, type Reached, reachedAtLeast, refusedUnseen } from '../../core/errors.js';
import type { HedgeConfig } from '../../core/model/route.js';
import { markAttempt } from '../../core/retry-mark.js';
import type { Reply } from '../../core/reply.js';
import type { Service } from '../../core/service.js';
import { type HedgeEnv, hedgeDelayMs } from './env.js';
import { type Ending, type Meaning, meaningOfError, meaningOfReply, NON_FATAL } from './meaning.js';
import { type Payment, permit, refund } from './permit.js';
import { type Runner, tooLate } from './runner.js';
import { SharedBody } from './shared-body.js';

/**
 * The attempts of one call. The next one goes out when the delay is over, or after the back-off when one has failed. With the first answer that stands
 * "all outstanding hedged requests are canceled" (gRFC A6); one that has failed stands when no other is under way. At most one timer runs.
 */
export class Race {
  readonly #running = new Set<Runner>();
  /** All that were sent. */
  readonly #attempts: Call[] = [];
  readonly #context = callersContext();
  readonly #waits;
  readonly #shared: SharedBody | undefined;
  readonly #delayMs: number | undefined;
  /** One attempt more than the policy says, after one that its server did not look at (gRFC A6, transparent retries). */
  #transparent = 0;
  /** Places for retries that are held. */
  #places = 0;
  #timer: DeadlineEntry | undefined;
  #dueAt = Number.POSITIVE_INFINITY;
  /** What the next attempt is for: the first is slow, or has failed for this reason. */
  #reason: string | undefined;
  /** No further attempt: the budget is spent, a server forbids it, or the body is bound to one. */
  #noMore = false;
  /** The last that has failed; `again`: the policy would have it followed by another. */
  #failed: { readonly attempt: Call; readonly ending: Ending; readonly again: boolean } | undefined;
  /** How far those got that have failed. */
  #reached: Reached = 'no';
  #winner: Call | undefined;
  #over = false;
  #letGo: (() => void) | undefined;
  #resolve!: (reply: Reply) => void;
  #reject!: (error: unknown) => void;

  constructor(
    private readonly config: HedgeConfig,
    private readonly env: HedgeEnv,
    private readonly call: Call,
    private readonly next: Service,
  ) {
    this.#waits = env.verdicts.waits(call);
    this.#delayMs = hedgeDelayMs(config, env);
    const { body } = call;
    this.#shared = body === undefined || body instanceof BytesBody ? undefined : new SharedBody(body, this.#bound);
  }

  run(): Promise<Reply> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      this.call.cancellation.add(this.#cancelled);
      this.#letGo = this.env.hold?.(this.call);
      if (this.#over) {
        this.#letGo?.();
        return;
      }
      this.#launch();
      this.#afterDelay();
    });
  }

  #launch(payment?: Payment): void {
    const { call, env } = this;
    const number = this.#attempts.length + 1;
    const attempt = call.attemptOf(number, this.#tried());
    this.#attempts.push(attempt);
    // Several are under way at once, and each writes down where it went.
    const whole = call.record;
    attempt.record = Object.assign(new CallRecord(), whole, { flags: undefined, attempts: number, whole });
    call.record.attempts = number;
    if (this.#shared !== undefined) attempt.body = this.#shared.attempt();
    if (number > 1) markAttempt(attempt.headers, call.protocol, number, number - 1 - this.#transparent);
    const runner = { attempt, startedAt: env.clock.now(), payment };
    this.#running.add(runner);
    this.next(attempt).then(
      (reply) => this.#replied(runner, reply),
      (error: unknown) => this.#rejected(runner, error),
    );
  }

  /** Keys of the endpoints that attempts went to. */
  #tried(): string[] {
    return this.#attempts.map(({ record }) => record.endpoint).filter((endpoint) => endpoint !== undefined);
  }

  /** The attempt sent last has its time; when it is over, the next goes out. */
  #afterDelay(): void {
    if (this.#delayMs !== undefined) this.#schedule(this.#delayMs, undefined);
  }

  #schedule(delayMs: number, reason: string | undefined): void {
    if (this.#over || this.#noMore || this.#spent()) return;
    const { clock, deadlines } = this.env;
    const at = clock.now() + delayMs;
    if (at >= this.#dueAt || at >= Math.min(this.call.deadline, this.call.headBy)) return;
    this.#timer?.stop();
    this.#dueAt = at;
    this.#reason = reason;
    this.#timer = deadlines.watch(at, this.#due);
  }

  /** The timer is everybody's: the next attempt goes out in the context of its call. */
  readonly #due = (): void => this.#context.runInAsyncScope(this.#go, this);

  #go(): void {
    this.#stopTimer();
    const reason = this.#reason;
    const payment = this.#noMore || !this.#whole() ? undefined : permit(this.env, this.call, reason);
    if (payment !== undefined) {
      this.#places++;
      const { meter, cluster } = this.env;
      meter.event(reason === undefined ? { kind: 'hedge', cluster } : { kind: 'retry', cluster, reason });
      this.#launch(payment);
      this.#afterDelay();
    } else {
      // One that has failed may still be followed by another: that is no extra load.
      if (reason !== undefined) this.#noMore = true;
      this.#settleIfLast();
    }
  }

  #replied(runner: Runner, reply: Reply): void {
    if (!this.#ended(runner)) {
      reply.body.cancel(tooLate());
      return;
    }
    const { config, env, call } = this;
    const meaning = meaningOfReply(config, env.verdicts, call, reply);
    if (typeof meaning === 'object') this.#fail(runner.attempt, { reply }, meaning.again);
    else {
      this.#observe(runner);
      this.#conclude(runner.attempt, { reply }, meaning);
    }
  }

  #rejected(runner: Runner, error: unknown): void {
    if (runner.payment !== undefined && error instanceof MeshError && isRefusal(error)) refund(runner.payment);
    if (!this.#ended(runner)) return;
    const { config, env, call } = this;
    const meaning = meaningOfError(config, env.verdicts, call, error);
    if (typeof meaning === 'object') this.#fail(runner.attempt, { error }, meaning.again);
    else this.#conclude(runner.attempt, { error }, meaning);
  }

  /** No further attempt comes of this one; those under way may still do better. */
  #conclude(attempt: Call, ending: Ending, meaning: Exclude<Meaning, object>): void {
    const refused = meaning === 'refused';
    if (meaning === 'ends' || (this.#running.size === 0 && !(refused && this.#failed !== undefined))) {
      this.#settle(attempt, ending);
      return;
    }
    this.#noMore = true;
    this.#stopTimer();
    // What a server said tells more than what we refused.
    if (refused) attempt.body?.cancel();
    else this.#keep(attempt, ending, false);
    this.#settleIfLast();
  }

  #fail(attempt: Call, failure: Ending, reason: string): void {
    const { error } = failure;
    if (error instanceof MeshError && refusedUnseen(error) && this.#transparent === 0 && this.#whole()) {
      attempt.body?.cancel(error);
      this.#transparent = 1;
      this.#launch();
      return;
    }
    this.#keep(attempt, failure, true);
    const delayMs = this.#waits.next(failure.reply, this.env.others(this.#tried(), this.call));
    // "If the pushback says not to retry, no further hedged requests will be sent." - A6
    if (delayMs === undefined) {
      this.#noMore = true;
      this.#stopTimer();
    } else {
      // "the next hedged request in line is sent immediately"; after pushback it "will be issued after the given delay has elapsed" - A6
      const pushedBack = failure.reply?.headers['grpc-retry-pushback-ms'] !== undefined;
      if (pushedBack || this.#running.size === 0) this.#stopTimer();
      this.#schedule(reason === NON_FATAL && !pushedBack ? 0 : delayMs, reason);
    }
    this.#settleIfLast();
  }

  /** Nothing is under way, and nothing comes: the last failure stands. */
  #settleIfLast(): void {
    const failed = this.#failed;
    if (this.#over || this.#running.size > 0 || this.#timer !== undefined || failed === undefined) return;
    if (failed.again && this.#spent()) this.call.record.raise('URX');
    this.#settle(failed.attempt, failed.ending);
  }

  /** The failure stands unless another attempt betters it. It takes no more of the body meanwhile. */
  #keep(attempt: Call, ending: Ending, again: boolean): void {
    discard(this.#failed?.ending.reply?.body, this.env.clock);
    this.#failed = { attempt, ending, again };
    this.#reached = furthest(this.#reached, ending.error instanceof MeshError ? ending.error.reached : 'yes');
    if (attempt.body !== undefined) this.#shared?.rest(attempt.body);
  }

  #settle(attempt: Call, { reply, error }: Ending): void {
    const reached = furthest(this.#reached, this.#running.size > 0 ? 'maybe' : 'no');
    this.#win(attempt);
    if (reply !== undefined) return this.#resolve(reply);
    const told = error instanceof MeshError ? reachedAtLeast(error, reached) : undefined;
    this.#shared?.dispose(told);
    this.#reject(told ?? error);
  }

  /** One more attempt can have the body from its beginning. */
  #whole(): boolean {
    return this.#shared?.replayable !== false;
  }

  /** No attempt is left that the policy allows. */
  #spent(): boolean {
    return this.#attempts.length - this.#transparent >= this.config.maxAttempts;
  }

  /** True when it still counts. */
  #ended(runner: Runner): boolean {
    return this.#running.delete(runner) && !this.#over;
  }

  /** The call goes on with this attempt: the others end, and what it wrote down is the call's. */
  #win(attempt: Call): void {
    this.#over = true;
    this.#winner = attempt;
    this.#letGo?.();
    this.#stopTimer();
    const { call, env } = this;
    const { cluster, endpoint, version, traceId, spanId, flags } = attempt.record;
    Object.assign(call.record, { cluster, endpoint, version, traceId, spanId });
    for (const flag of flags ?? []) call.record.raise(flag);
    const losers = [...this.#running];
    this.#running.clear();
    for (const loser of losers) {
      this.#observe(loser);
      loser.attempt.cancel(tooLate());
    }
    if (attempt.body !== undefined) this.#shared?.bind(attempt.body);
    if (this.#failed?.attempt !== attempt) discard(this.#failed?.ending.reply?.body, env.clock);
    this.#failed = undefined;
    for (; this.#places > 0; this.#places--) env.limits.retryDone(call.priority);
  }

  /** Of first attempts: later ones are sent when others were slow. One that was overtaken took at least this long. */
  #observe({ attempt, startedAt }: Runner): void {
    if (attempt.attempt === 1) this.env.latencies.record(this.env.clock.now() - startedAt);
  }

  #stopTimer(): void {
    this.#timer?.stop();
    this.#timer = undefined;
    this.#dueAt = Number.POSITIVE_INFINITY;
  }

  readonly #cancelled = (reason: MeshError): void => {
    if (this.#winner !== undefined) {
      this.#winner.cancel(reason);
      return;
    }
    this.#noMore = true;
    this.#stopTimer();
    const running = [...this.#running];
    for (const { attempt } of running) attempt.cancel(reason);
    if (running.length > 0 || this.#over) return;
    discard(this.#failed?.ending.reply?.body, this.env.clock);
    this.#settle(this.#failed?.attempt ?? this.call, { error: reason });
  };

  /** The body has grown too long to be kept for others: the attempt that has read most goes on alone. */
  readonly #bound = (body: Body): void => {
    this.#noMore = true;
    this.#stopTimer();
    for (const runner of [...this.#running]) {
      if (runner.attempt.body === body) continue;
      this.#running.delete(runner);
      runner.attempt.cancel(tooLate());
    }
  };
}

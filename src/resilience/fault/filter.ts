import type { Call } from '../../core/call.js';
import { classifyForCaller, classifyReply } from '../../core/classify.js';
import { MeshError } from '../../core/errors.js';
import type { FaultConfig } from '../../core/model/fault.js';
import type { Reply, ReplyEnd } from '../../core/reply.js';
import type { Filter, Service } from '../../core/service.js';
import { abortReply } from './abort.js';
import { faultyReply } from './body.js';
import type { FaultEnv } from './fault.js';
import { type Fate, FaultInjector } from './injector.js';

export interface ClientFaultEnv extends FaultEnv {
  /** Has the mesh end the call when it closes, while nothing of it is under way. The result lets go of it. */
  readonly hold?: ((call: Call) => () => void) | undefined;
  /** What the route does to replies: to those that are made here as well, as in Envoy. */
  readonly replies?: Filter | undefined;
}

/** Makes calls go wrong on purpose, as configured; undefined when nothing is. Above retries and fallbacks: what it does, the application sees. */
export function faults(configs: readonly FaultConfig[] | undefined, env: ClientFaultEnv): Filter | undefined {
  if (configs === undefined || configs.length === 0) return undefined;
  const injector = new FaultInjector(configs, env);
  return (next) => {
    const counted = new WeakSet<Call>();
    const service: Service = (call) => {
      const fate = injector.meet(call, call.cancellation);
      if (fate === undefined) return next(call);
      return fate instanceof Promise ? afterDelay(call, fate, next, env, counted) : strike(call, fate, next, env);
    };
    const configured = configs.some(({ experiment }) => experiment !== undefined);
    return configured ? measured(service, injector, env, counted) : service;
  };
}

function afterDelay(
  call: Call,
  delay: Promise<Fate | undefined>,
  next: Service,
  env: ClientFaultEnv,
  counted: WeakSet<Call>,
): Promise<Reply> {
  const { record } = call;
  record.raise('DI');
  const letGo = env.hold?.(call);
  return delay.then(
    (fate) => {
      letGo?.();
      const replying = fate === undefined ? next(call) : strike(call, fate, next, env);
      // Another attempt forgets what was raised before it.
      const raise = (): void => record.raise('DI');
      replying.then(raise, raise);
      return replying;
    },
    (reason: unknown) => {
      letGo?.();
      counted.add(call);
      call.body?.cancel(reason as MeshError);
      throw reason;
    },
  );
}

function strike(call: Call, { ending, bodies }: Fate, next: Service, env: ClientFaultEnv): Promise<Reply> {
  if (ending !== undefined) {
    call.record.raise('FI');
    call.body?.cancel();
    const answer: Service = () =>
      ending instanceof MeshError ? Promise.reject(ending) : Promise.resolve(abortReply(call.protocol, ending));
    return (env.replies?.(answer) ?? answer)(call);
  }
  if (bodies.length === 0) return next(call);
  return next(call).then(
    (reply) => bodies.reduce((slower, body) => faultyReply(slower, call, body, env.clock), reply),
    (error: unknown) => {
      for (const body of bodies) body.end();
      throw error;
    },
  );
}

/** Tells experiments how calls end, whether something befell them or not; but of those `counted`, which ended while they were held up. */
const measured =
  (service: Service, injector: FaultInjector, { clock }: ClientFaultEnv, counted: WeakSet<Call>): Service =>
  (call) => {
    if (!injector.measures) return service(call);
    const startedAt = call.record.startedAt || clock.now();
    const tell = (outcome: ReturnType<typeof classifyForCaller>): void =>
      injector.ended(outcome === 'ignored' ? undefined : outcome === 'success', clock.now() - startedAt);
    return service(call).then(
      (reply) => {
        reply.onEnd((end) => tell(outcomeOf(call, reply, end)));
        return reply;
      },
      (error: unknown) => {
        if (!counted.has(call)) tell(error instanceof MeshError ? classifyForCaller(error) : 'failure');
        throw error;
      },
    );
  };

/** As the application sees it: a reply that broke off has failed, whoever broke it. */
const outcomeOf = (call: Call, reply: Reply, end: ReplyEnd): ReturnType<typeof classifyForCaller> =>
  end.error === undefined ? classifyReply(call, reply, end) : classifyForCaller(end.error);

import type { Body } from '../../core/body.js';
import { MeshError } from '../../core/errors.js';
import type { FallbackConfig } from '../../core/model/fallback.js';
import type { Reply } from '../../core/reply.js';
import type { Filter } from '../../core/service.js';
import { type Failure, failedReply, isFailure } from './failure.js';
import { type FunctionEnv, FunctionKind } from './function.js';
import type { Kind } from './kind.js';
import { type AskService, askService, type Replay, type ServiceEnv } from './service.js';
import { type StandInEnv, standIn } from './stand-in.js';
import { type Memory, memoryOf } from './memory.js';
import { StaleKind } from './stale.js';
import { staticKind } from './static.js';

/** What stands in for the replies of one destination, with what it remembers for that; shared by all routes to it. */
export class Fallback {
  /** In the order in which they are asked. */
  readonly kinds: readonly (Kind | AskService)[];
  /** Wants to see good replies. */
  readonly stale: Memory | undefined;

  constructor(config: readonly FallbackConfig[], env: FunctionEnv) {
    this.kinds = config.map((one) => kindOf(one, env));
    this.stale = memoryOf(this.kinds.filter((kind) => kind instanceof StaleKind));
  }
}

/** By the configuration, which is the same object as long as it says the same. */
type Known = WeakMap<readonly FallbackConfig[], Fallback>;
const knownTo = new WeakMap<FunctionEnv, Known>();

/**
 * Undefined where nothing is configured. The same configuration has the same fallback in one client, so that what it remembers is there when the
 * cluster comes into trouble, where another stands in its place, and when it is out of it.
 */
export function createFallback(config: readonly FallbackConfig[] | undefined, env: FunctionEnv): Fallback | undefined {
  if (config === undefined || config.length === 0) return undefined;
  let known = knownTo.get(env);
  if (known === undefined) {
    known = new WeakMap();
    knownTo.set(env, known);
  }
  let fallback = known.get(config);
  if (fallback === undefined) {
    fallback = new Fallback(config, env);
    known.set(config, fallback);
  }
  return fallback;
}

function kindOf(config: FallbackConfig, env: FunctionEnv): Kind | AskService {
  switch (config.kind) {
    case 'service':
      return { by: 'service', takesTime: true, cluster: config.cluster };
    case 'stale':
      return new StaleKind(config, env.clock);
    case 'static':
      return staticKind(config);
    case 'function':
      return new FunctionKind(config.name, env);
  }
}

export interface FallbackEnv extends ServiceEnv, StandInEnv {
  /** The destination's name, for events. */
  readonly cluster: string;
  /** The call has a fallback of its own, or wants none: these are not asked, and only learn. Default false. */
  readonly overruled?: boolean | undefined;
  /** Keeps a request body that can be had only once. */
  replay(body: Body): Replay;
}

/**
 * Answers calls that ended without an answer: an open breaker, no endpoint, retries spent, time over, or a reply that says so (failure.ts). The kinds are
 * asked in order, within the call's deadline; when none has an answer, what the call came to stands.
 */
export const fallingBack = (fallback: Fallback | undefined, env: FallbackEnv): Filter | undefined => {
  const kinds = env.overruled ? [] : (fallback?.kinds ?? []);
  const stale = fallback?.stale;
  if (kinds.length === 0 && stale === undefined) return undefined;
  const asks = kinds.some((kind) => 'cluster' in kind);
  return (next) => (call) => {
    const { body } = call;
    const replay = !asks || body === undefined || body.replayable ? undefined : env.replay(body);
    if (replay !== undefined) call.body = replay.attempt();
    const asked = stale?.asked(call);
    const changing = stale?.changing(call);
    const key = asked?.key;
    const instead = async (failure: Failure): Promise<Reply> => {
      const asked = kinds.map((kind) => ('cluster' in kind ? asking(kind, replay, env) : kind));
      const reply = await standIn(asked, call, failure, env.cluster, replay, env);
      if (changing !== undefined && call.record.fallback === 'service') stale?.changed(changing, reply);
      return reply;
    };
    return next(call).then(
      (reply) => {
        const reason = failedReply(call, reply);
        if (reason !== undefined) return instead({ reason, error: undefined, reply, key });
        replay?.commit();
        if (changing !== undefined) stale?.changed(changing, reply);
        return asked === undefined ? reply : (stale as Memory).watch(asked, call, reply);
      },
      (error: unknown) => {
        if (error instanceof MeshError && isFailure(call, error)) {
          return instead({ reason: error.code, error, reply: undefined, key });
        }
        replay?.dispose(error instanceof MeshError ? error : undefined);
        throw error;
      },
    );
  };
};

const asking = ({ by, takesTime, cluster }: AskService, replay: Replay | undefined, env: ServiceEnv): Kind => ({
  by,
  takesTime,
  answer: (call, failure) => askService(cluster, call, failure, replay, env),
});

import { createHash } from 'node:crypto';
import type { Limit } from '../../../core/model/limit.js';
import { ALGORITHMS, SERVER_TIME } from './lua.js';

/** A program that Redis runs as one step. `sha` is what EVALSHA calls it by. */
export interface Script {
  readonly lua: string;
  readonly sha: string;
}

export type Scripts = Readonly<Record<Limit['algorithm'], { readonly take: Script; readonly giveBack: Script }>>;

const script = (lua: string): Script => ({ lua, sha: createHash('sha1').update(lua).digest('hex') });

/** All scripts. `time` is the Lua that sets `now`, in milliseconds since the epoch: the server's clock but in tests. */
export function limitScripts(time: string = SERVER_TIME): Scripts {
  const of = ({ take, giveBack }: { readonly take: string; readonly giveBack: string }) => ({
    take: script(time + take),
    giveBack: script(time + giveBack),
  });
  return {
    token_bucket: of(ALGORITHMS.token_bucket),
    fixed_window: of(ALGORITHMS.fixed_window),
    sliding_window: of(ALGORITHMS.sliding_window),
    sliding_log: of(ALGORITHMS.sliding_log),
    calendar: of(ALGORITHMS.calendar),
  };
}

import type { Call } from '../../core/call.js';
import type { Reply } from '../../core/reply.js';
import type { Asked, StaleKind } from './stale.js';

/** What keeps good replies for the time when there are none. */
export interface Memory {
  /** What the call asks for; undefined when its reply is not one to keep. Ask before it is sent. */
  asked(call: Call): Asked | undefined;
  /** The keys of what the call changes when it succeeds; undefined for none. Ask before it is sent. */
  changing(call: Call): readonly string[] | undefined;
  changed(keys: readonly string[], reply: Reply): void;
  /** A good reply on its way to the caller. */
  watch(asked: Asked, call: Call, reply: Reply): Reply;
}

/** One list may name several: fresh ones before another service is asked, older ones when that has no answer either. */
export const memoryOf = (kinds: readonly StaleKind[]): Memory | undefined =>
  kinds.length > 1 ? new Memories(kinds) : kinds[0];

interface AskedOfAll extends Asked {
  readonly each: readonly (Asked | undefined)[];
}

class Memories implements Memory {
  constructor(private readonly kinds: readonly StaleKind[]) {}

  asked(call: Call): AskedOfAll | undefined {
    const each = this.kinds.map((kind) => kind.asked(call));
    // The key is the same for all; one that is too long for some is asked of the others.
    const first = each.find((asked) => asked !== undefined);
    return first && { ...first, each };
  }

  changing(call: Call): readonly string[] | undefined {
    return this.kinds[0]?.changing(call);
  }

  changed(keys: readonly string[], reply: Reply): void {
    for (const kind of this.kinds) kind.changed(keys, reply);
  }

  watch(asked: AskedOfAll, call: Call, reply: Reply): Reply {
    return this.kinds.reduce((watched, kind, i) => {
      const one = asked.each[i];
      return one === undefined ? watched : kind.watch(one, call, watched);
    }, reply);
  }
}

import type { Call } from '../../src/core/call.js';
import type { MeshError } from '../../src/core/errors.js';
import type { Reply } from '../../src/core/reply.js';
import type { Service } from '../../src/core/service.js';

/** An attempt that a test answers when it wants; it ends by itself when it is cancelled. */
export interface InFlight {
  readonly call: Call;
  answer(outcome: Reply | MeshError): void;
  /** Not answered, and not cancelled. */
  readonly open: boolean;
}

/** A service whose calls wait for the test. `name` is what each attempt writes down as its endpoint. */
export function waiting(
  name: (n: number) => string = (n) => `10.0.0.${n}:80`,
): Service & { readonly attempts: InFlight[] } {
  const attempts: InFlight[] = [];
  const service = (call: Call): Promise<Reply> =>
    new Promise((resolve, reject) => {
      let open = true;
      const end = (settle: () => void): void => {
        if (!open) return;
        open = false;
        settle();
      };
      attempts.push({
        call,
        answer: (outcome) => end(() => (outcome instanceof Error ? reject(outcome) : resolve(outcome))),
        get open() {
          return open;
        },
      });
      call.record.endpoint = name(attempts.length);
      call.cancellation.add((reason) => end(() => reject(reason)));
    });
  return Object.assign(service, { attempts });
}

import type { InboundContext } from './context.js';
import type { Gate } from './gate.js';

/** Listeners whose policies a request has met, by the request as its server has it. */
const met = new WeakMap<object, string[]>();

/** Whether a request was held to the policies of a listener already: by the server that was handed its connection, and now by middleware. */
export const alreadyEnforced = (raw: object, listener: string): boolean => met.get(raw)?.includes(listener) ?? false;

/** Takes down that a request has come to the gates of a listener. */
export const enforcing = (listener: string): Gate => ({
  refusal({ view }: InboundContext): undefined {
    if (view === undefined) return;
    const listeners = met.get(view.raw);
    if (listeners === undefined) met.set(view.raw, [listener]);
    else listeners.push(listener);
  },
});

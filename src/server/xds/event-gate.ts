import type { EventEmitter } from 'node:events';

/** Answers an event itself and returns false, or returns true to let the listeners have it; its first argument does that later, after it has returned false. */
export type EventGate = (...args: never[]) => boolean;

/**
 * Puts gates before all listeners of a server, those among them that are added later or that call one another. Works as instrumentations
 * of node:http do: by an `emit` of the object's own. Returns how to take the gates away.
 */
export function gateEvents(emitter: EventEmitter, gates: Readonly<Record<string, EventGate>>): () => void {
  const byEvent = new Map<string | symbol, EventGate>(Object.entries(gates));
  const before = emitter.emit;
  const own = Object.hasOwn(emitter, 'emit');
  let open = false;
  const gated = function (this: EventEmitter, event: string | symbol, ...args: unknown[]): boolean {
    const gate = open ? undefined : byEvent.get(event);
    if (gate !== undefined) {
      const later = (): boolean => Reflect.apply(before, this, [event, ...args]);
      if (!Reflect.apply(gate, undefined, [later, ...args])) return true;
    }
    return Reflect.apply(before, this, [event, ...args]);
  };
  emitter.emit = gated;
  return () => {
    open = true;
    // Somebody else may have put an `emit` before ours meanwhile; then ours stays, and does nothing.
    if (emitter.emit !== gated) return;
    if (own) emitter.emit = before;
    else Reflect.deleteProperty(emitter, 'emit');
  };
}

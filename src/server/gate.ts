import type { Protocol } from '../core/call.js';
import type { InboundContext, InboundHeaders } from './context.js';
import { NOBODY_WAITS, type Refusal, UNDECIDED } from './refusal.js';

/** Undefined: the request goes on. */
export type Passage = Refusal | undefined;

/** Decides about requests before their handlers run. One for all requests: what it remembers of one it keeps by its context. */
export interface Gate {
  /** A request has come; once for each. */
  arrived?(context: InboundContext, protocol: Protocol, headers: InboundHeaders): void;
  /** Its handler is done; only from servers that do not tell when the answer is out. */
  handled?(context: InboundContext): void;
  /** It had passed this gate, and a later one refused it: it does not count for what served requests teach. */
  withdrawn?(context: InboundContext): void;
  /** It has waited at a later gate: whether it is still served. */
  waited?(context: InboundContext, protocol: Protocol): Passage;
  /**
   * Why it is not served, as far as can be told now; undefined: it is. A promise where somebody has to be asked or waited for; never rejects. Asked again when
   * the request has waited, for its body for example.
   */
  refusal(context: InboundContext, protocol: Protocol): Passage | Promise<Passage>;
}

/** Takes a request through the gates, one after the other. No promise is made unless a gate makes one. A gate that fails lets nothing through. */
export function pass(
  gates: readonly Gate[],
  context: InboundContext,
  protocol: Protocol,
  from = 0,
): Passage | Promise<Passage> {
  for (let i = from; i < gates.length; i++) {
    const answer = ask(gates[i] as Gate, context, protocol);
    if (answer === undefined) continue;
    if (!(answer instanceof Promise)) return refused(gates, i, context, answer);
    return answer.catch(undecided).then((refusal) => {
      if (refusal !== undefined) return refused(gates, i, context, refusal);
      const still = context.isOver ? NOBODY_WAITS : afterWait(gates, i, context, protocol);
      return still === undefined ? pass(gates, context, protocol, i + 1) : refused(gates, i + 1, context, still);
    });
  }
  return undefined;
}

function ask(gate: Gate, context: InboundContext, protocol: Protocol): Passage | Promise<Passage> {
  try {
    return gate.refusal(context, protocol);
  } catch {
    return UNDECIDED;
  }
}

const undecided = (): Refusal => UNDECIDED;

/** What the gates before say of a request that has waited. */
function afterWait(gates: readonly Gate[], at: number, context: InboundContext, protocol: Protocol): Passage {
  for (let i = 0; i < at; i++) {
    const refusal = gates[i]?.waited?.(context, protocol);
    if (refusal !== undefined) return refusal;
  }
  return undefined;
}

/**
 * For servers that hand a request on as an event: true, and it is to be handed on now; false, and `done` has answered it, or it waits, and is handed on by
 * `later`. `done` is told of the outcome before.
 */
export function goOn(
  passage: Passage | Promise<Passage>,
  later: () => void,
  done: (refusal: Refusal | undefined) => void,
): boolean {
  if (passage instanceof Promise) {
    void passage.then((refusal) => {
      done(refusal);
      if (refusal === undefined) later();
    });
    return false;
  }
  done(passage);
  return passage === undefined;
}

function refused(gates: readonly Gate[], at: number, context: InboundContext, refusal: Refusal): Refusal {
  for (let i = 0; i < at; i++) gates[i]?.withdrawn?.(context);
  return refusal;
}

import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { MeshEvent } from '../../src/core/meter.js';
import { noMeter } from '../../src/core/meter.js';
import { LoadShedder } from '../../src/resilience/shedding/shedder.js';
import { type InboundContext, inboundContext } from '../../src/server/context.js';
import { type Gate, type Passage, pass } from '../../src/server/gate.js';
import { NOBODY_WAITS, UNDECIDED } from '../../src/server/refusal.js';
import { Places, shedRefusals } from '../../src/server/shedding/places.js';
import { FakeClock, settle } from '../support/fake-clock.js';
import { ModelStep } from '../support/model-step.js';

/*
 * Requests that come to three gates in a row: one that has places until a stream begins (`shed`), one that asks somebody, one that has places to the end of the
 * reply (`adaptive_concurrency`). Whatever becomes of a request, and in whatever order, the places that are held are those of the requests that hold them.
 */

const REFUSED = { ...UNDECIDED, code: 'REFUSED' };

/** What a gate that asks somebody says: at once, or when the test has the answer. */
type Answer = 'passes' | 'refuses' | 'fails';
type Asks = Answer | 'waits';

type Stage =
  /** At the gate that asks. `left`: its caller has gone meanwhile. */
  | 'asking'
  | 'left-asking'
  | 'served'
  | 'streaming'
  /** Nothing is held any more. */
  | 'over';

interface Request {
  readonly context: InboundContext;
  stage: Stage;
  passage: Passage | 'waits';
}

interface Model {
  early: number;
  late: number;
  shed: number;
  readonly requests: Request[];
}

class Real {
  readonly early = { value: 3, at: () => this.early.value, sample: () => {} };
  readonly late = { value: 3, at: () => this.late.value, sample: () => {} };
  readonly events: MeshEvent[] = [];
  readonly #meter = { ...noMeter, event: (event: MeshEvent) => void this.events.push(event) };
  readonly #answers = new Map<InboundContext, (answer: Answer) => void>();
  readonly #asked = new WeakSet<InboundContext>();
  readonly earlyPlaces = this.#shedder(this.early);
  readonly latePlaces = this.#shedder(this.late);
  #asks: Asks = 'passes';

  readonly gates: readonly Gate[] = [
    this.#placed(new Places(this.earlyPlaces, shedRefusals(503, undefined), 'until-stream')),
    { refusal: (context) => this.#ask(context) },
    this.#placed(new Places(this.latePlaces, shedRefusals(503, undefined), 'to-end')),
  ];

  arrive(asks: Asks): { context: InboundContext; passage: Passage | Promise<Passage> } {
    this.#asks = asks;
    const context = inboundContext({}, new FakeClock());
    return { context, passage: pass(this.gates, context, 'http') };
  }

  answer(context: InboundContext, answer: Answer): void {
    this.#answers.get(context)?.(answer);
    this.#answers.delete(context);
  }

  #shedder(limit: { at(): number; sample(): void }): LoadShedder {
    return new LoadShedder(limit, { shares: undefined, maxLagMs: Number.POSITIVE_INFINITY }, new FakeClock());
  }

  #placed(places: Places): Gate {
    return {
      refusal: (context, protocol) => places.take(context, protocol, this.#meter),
      handled: (context) => places.handled(context),
      withdrawn: (context) => places.giveBack(context),
    };
  }

  #ask(context: InboundContext): Passage | Promise<Passage> {
    if (this.#asked.has(context)) return undefined;
    this.#asked.add(context);
    if (this.#asks === 'passes') return undefined;
    if (this.#asks === 'refuses') return REFUSED;
    if (this.#asks === 'fails') throw new Error('a fault of ours');
    return new Promise((resolve, reject) => {
      this.#answers.set(context, (answer) => {
        if (answer === 'fails') reject(new Error('a fault of ours'));
        else resolve(answer === 'passes' ? undefined : REFUSED);
      });
    });
  }
}

const held = ({ requests }: Model, ...stages: Stage[]): number =>
  requests.filter(({ stage }) => stages.includes(stage)).length;

function agree(model: Model, real: Real): void {
  expect(real.earlyPlaces.inFlight).toBe(held(model, 'asking', 'served'));
  expect(real.latePlaces.inFlight).toBe(held(model, 'served', 'streaming'));
  expect(real.events.length).toBe(model.shed);
}

/** What becomes of a request that the gate in the middle has answered for. */
function further(model: Model, request: Request, answer: Answer): { code: string | undefined } {
  if (answer === 'passes' && request.stage !== 'left-asking') {
    if (held(model, 'served', 'streaming') < model.late) {
      request.stage = 'served';
      return { code: undefined };
    }
    model.shed++;
    request.stage = 'over';
    return { code: 'OVERLOADED' };
  }
  const gone = request.stage === 'left-asking';
  request.stage = 'over';
  if (answer === 'refuses') return { code: REFUSED.code };
  if (answer === 'fails') return { code: UNDECIDED.code };
  return { code: gone ? NOBODY_WAITS.code : undefined };
}

type Step = ModelStep<Model, Real>;
const step = (name: string, run: (model: Model, real: Real) => void | Promise<void>): Step => new ModelStep(name, run);

const arrives = (asks: Asks): Step =>
  step(`arrives, ${asks}`, (model, real) => {
    const room = held(model, 'asking', 'served') < model.early;
    const { context, passage } = real.arrive(asks);
    const request: Request = { context, stage: 'over', passage: passage instanceof Promise ? 'waits' : passage };
    if (!room) {
      model.shed++;
      expect(passage).toMatchObject({ code: 'OVERLOADED' });
    } else if (asks === 'waits') {
      request.stage = 'asking';
      expect(request.passage).toBe('waits');
      void (passage as Promise<Passage>).then((found) => {
        request.passage = found;
      });
    } else {
      const { code } = further(model, request, asks);
      // Nobody had to be waited for.
      expect((passage as Passage)?.code).toBe(code);
    }
    model.requests.push(request);
    agree(model, real);
  });

/** One of the requests at these stages, if there is one. */
const ofOne = (
  name: string,
  stages: readonly Stage[],
  run: (request: Request, model: Model, real: Real) => void | Promise<void>,
) =>
  fc.nat(20).map((which) =>
    step(`${name} ${which}`, async (model, real) => {
      const there = model.requests.filter(({ stage }) => stages.includes(stage));
      const request = there[which % Math.max(1, there.length)];
      if (request === undefined) return;
      await run(request, model, real);
      agree(model, real);
    }),
  );

const answers = (answer: Answer) =>
  ofOne(answer, ['asking', 'left-asking'], async (request, model, real) => {
    real.answer(request.context, answer);
    await settle();
    const { code } = further(model, request, answer);
    expect((request.passage as Passage)?.code).toBe(code);
  });

const STEPS = [
  fc.constantFrom<Asks>('passes', 'passes', 'waits', 'waits', 'refuses', 'fails').map(arrives),
  answers('passes'),
  answers('refuses'),
  answers('fails'),
  ofOne('a stream begins', ['served', 'streaming'], (request) => {
    request.context.released();
    request.stage = 'streaming';
  }),
  ofOne('is looked at again', ['served', 'streaming'], ({ context }, _, real) => {
    expect(pass(real.gates, context, 'http')).toBeUndefined();
  }),
  ofOne('is over', ['served', 'streaming'], (request) => {
    request.context.answered('http', 200);
    request.context.over();
    request.stage = 'over';
  }),
  ofOne('its handler is done', ['served', 'streaming'], (request, _, real) => {
    for (const gate of real.gates) gate.handled?.(request.context);
    request.context.over();
    request.stage = 'over';
  }),
  ofOne('its caller leaves', ['asking', 'left-asking', 'served', 'streaming', 'over'], (request) => {
    request.context.callerGone();
    if (request.stage === 'asking') request.stage = 'left-asking';
    else if (request.stage !== 'left-asking') request.stage = 'over';
  }),
  fc.tuple(fc.constantFrom('early' as const, 'late' as const), fc.integer({ min: 1, max: 6 })).map(([which, limit]) =>
    step(`${which} limit ${limit}`, (model, real) => {
      model[which] = limit;
      real[which].value = limit;
    }),
  ),
];

test('places are those of the requests that hold them, whatever gates, handlers and callers do, and all come back', async () => {
  await fc.assert(
    fc.asyncProperty(fc.commands(STEPS, { maxCommands: 100, size: '+1' }), async (commands) => {
      const model: Model = { early: 3, late: 3, shed: 0, requests: [] };
      const real = new Real();
      await fc.asyncModelRun(() => ({ model, real }), commands);
      for (const { context } of model.requests) context.callerGone();
      expect([real.earlyPlaces.inFlight, real.latePlaces.inFlight]).toEqual([0, 0]);
    }),
    { numRuns: 200 },
  );
});

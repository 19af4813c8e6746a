import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Body, type BodyFlow, StreamBody } from '../../../src/core/body.js';
import { RequestBodyError } from '../../../src/core/errors.js';
import { SharedBody } from '../../../src/resilience/hedge/shared-body.js';

/** One attempt that reads: as many chunks as it has room for. */
class Sink {
  readonly chunks: number[] = [];
  room = 0;
  ended = false;
  error: unknown;
  flow: BodyFlow | undefined;

  constructor(readonly body: Body) {}

  read(room: number): void {
    this.room += room;
    if (this.flow === undefined) {
      this.flow = this.body.pipe({
        write: (chunk) => {
          this.chunks.push(chunk[0] as number);
          this.room--;
          return this.room > 0;
        },
        end: () => {
          this.ended = true;
        },
        fail: (error) => {
          this.error = error;
        },
      });
    } else if (this.room > 0) this.flow.resume();
  }
}

describe('a body that several attempts read', () => {
  test('reaches each whole and in order, at its own pace, until it is bound to the one that has read most', () => {
    const action = fc.oneof(
      fc.record({ kind: fc.constant('write' as const), size: fc.integer({ min: 1, max: 30 }) }),
      fc.record({ kind: fc.constant('read' as const), who: fc.nat({ max: 2 }), room: fc.integer({ min: 1, max: 5 }) }),
      fc.record({ kind: fc.constant('leave' as const), who: fc.nat({ max: 2 }) }),
    );
    fc.assert(
      fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
        let bound: Body | undefined;
        let resumed = true;
        const source = new StreamBody({
          resume: () => {
            resumed = true;
          },
          cancel() {},
        });
        const shared = new SharedBody(
          source,
          (body) => {
            expect(bound).toBeUndefined();
            bound = body;
          },
          100,
        );
        const sinks = [0, 1, 2].map(() => new Sink(shared.attempt()));
        const gone = new Set<Sink>();
        let written = 0;
        for (const step of actions) {
          if (step.kind === 'write') resumed = source.write(new Uint8Array(step.size).fill(written++ % 256)) && resumed;
          else {
            const sink = sinks[step.who] as Sink;
            if (gone.has(sink) || (bound !== undefined && bound !== sink.body)) continue;
            if (step.kind === 'read') sink.read(step.room);
            else {
              sink.body.cancel();
              gone.add(sink);
            }
          }
          for (const sink of sinks) expect(sink.chunks).toEqual(sink.chunks.map((_, i) => i % 256));
        }
        source.end();
        const stays = (sink: Sink): boolean => !gone.has(sink) && (bound === undefined || bound === sink.body);
        for (const sink of sinks) {
          if (!stays(sink)) continue;
          for (let turn = 0; turn < 100 && !sink.ended; turn++) sink.read(100);
          expect({ chunks: sink.chunks.length, ended: sink.ended }).toEqual({ chunks: written, ended: true });
        }
        for (const sink of sinks) if (!stays(sink) && !gone.has(sink)) sink.read(100);
        for (const sink of sinks) if (!stays(sink)) expect(sink.ended).toBe(false);
      }),
      { numRuns: 300 },
    );
  });

  test('that breaks off breaks off for all', () => {
    const source = new StreamBody({ resume() {}, cancel() {} });
    const shared = new SharedBody(source, () => {});
    const [first, second] = [new Sink(shared.attempt()), new Sink(shared.attempt())];
    first.read(10);
    source.write(new Uint8Array([0]));
    source.fail(new RequestBodyError('gone'));
    second.read(10);
    expect([first.error, second.error]).toEqual([expect.any(RequestBodyError), expect.any(RequestBodyError)]);
    expect(shared.replayable).toBe(false);
  });

  test('is let go when the attempt that it is bound to lets go', () => {
    let cancelled = 0;
    const source = new StreamBody({ resume() {}, cancel: () => cancelled++ });
    const shared = new SharedBody(source, () => {});
    const [first, second] = [new Sink(shared.attempt()), new Sink(shared.attempt())];
    first.read(1);
    first.body.cancel();
    expect(cancelled).toBe(0);
    shared.bind(second.body);
    second.body.cancel();
    expect(cancelled).toBe(1);
  });
});

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { BodySink } from '../../../src/core/body.js';
import { CancelledError, type MeshError } from '../../../src/core/errors.js';
import { type HeaderFields, headerFields } from '../../../src/core/headers.js';
import type { FaultConfig } from '../../../src/core/model/fault.js';
import type { Reply, ReplyEnd } from '../../../src/core/reply.js';
import { aCall } from '../../support/calls.js';
import { settle } from '../../support/fake-clock.js';
import { aFault, bytesReply, faultEnv, faulty, streamReply } from './support.js';

/** Reads a body; pauses when it is told to. */
class Reader implements BodySink {
  readonly chunks: Uint8Array[] = [];
  ended = false;
  trailers: HeaderFields | undefined;
  error: MeshError | undefined;
  end_: ReplyEnd | undefined;
  room = true;
  readonly #flow;

  constructor(reply: Reply) {
    reply.onEnd((end) => {
      this.end_ = end;
    });
    this.#flow = reply.body.pipe(this);
  }

  get size(): number {
    return this.chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
  }

  get bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }

  write(chunk: Uint8Array): boolean {
    this.chunks.push(chunk);
    return this.room;
  }

  end(trailers?: HeaderFields): void {
    this.ended = true;
    this.trailers = trailers;
  }

  fail(error: MeshError): void {
    this.error = error;
  }

  goOn(): void {
    this.room = true;
    this.#flow.resume();
  }
}

const throttled = (bytesPerSecond: number, more: Partial<FaultConfig> = {}) =>
  aFault({ throttle: { kind: 'fixed', bytesPerSecond, share: 1 }, ...more });
const truncated = (afterBytes: number) => aFault({ truncate: { afterBytes, share: 1 } });

describe('a throttled reply', () => {
  test('comes a sixteenth of a second’s bytes at a time, the first at once, and then its trailers', async () => {
    const { env, clock, active, faults } = faultEnv();
    const bytes = Buffer.from('x'.repeat(1_000));
    const { service } = faulty([throttled(1_600)], env, () => bytesReply(bytes, headerFields({ sum: 'abc' })));
    const reader = new Reader(await service(aCall()));
    const sizes = [reader.size];
    for (let tick = 0; tick < 10; tick++) {
      await clock.advance(62.5);
      sizes.push(reader.size);
    }
    expect(sizes).toEqual([100, 200, 300, 400, 500, 600, 700, 800, 900, 1_000, 1_000]);
    expect([reader.ended, { ...reader.trailers }, reader.end_?.error]).toEqual([true, { sum: 'abc' }, undefined]);
    expect([active.count, clock.pending, faults()]).toEqual([0, 0, ['throttle']]);
  });

  test('the head does not wait, and the end waits for the last byte', async () => {
    const { env, clock } = faultEnv();
    const { service } = faulty([throttled(160)], env, () => bytesReply(new Uint8Array(20)));
    const reply = await service(aCall());
    const reader = new Reader(reply);
    expect([reply.status, reader.size, reader.ended, reader.end_]).toEqual([200, 10, false, undefined]);
    await clock.advance(63);
    expect([reader.size, reader.ended, reader.end_?.error]).toEqual([20, true, undefined]);
  });

  test('goes on for a reader that comes late, as a wire does, so that the call ends without one', async () => {
    const { env, clock, active } = faultEnv();
    const { service } = faulty([throttled(160)], env, () => bytesReply(new Uint8Array(20)));
    const reply = await service(aCall());
    let ended = false;
    reply.onEnd(() => {
      ended = true;
    });
    await clock.advance(63);
    expect([ended, active.count, clock.pending]).toEqual([true, 0, 0]);
    expect(new Reader(reply).size).toBe(20);
  });

  test('below 16 bytes a second it comes byte by byte', async () => {
    const { env, clock } = faultEnv();
    const { service } = faulty([throttled(2)], env, () => bytesReply(new Uint8Array(3)));
    const reader = new Reader(await service(aCall()));
    const sizes = [reader.size];
    for (let i = 0; i < 4; i++) {
      await clock.advance(437.5);
      sizes.push(reader.size);
    }
    expect(sizes).toEqual([0, 1, 1, 2, 3]);
  });

  test('a reader that pauses is waited for without a timer, and then has a second’s bytes at most to catch up', async () => {
    const { env, clock } = faultEnv();
    const { service } = faulty([throttled(1_600)], env, () => bytesReply(new Uint8Array(10_000)));
    const reader = new Reader(await service(aCall()));
    reader.room = false;
    await clock.advance(62.5);
    const before = reader.size;
    await clock.advance(60_000);
    expect([reader.size - before, clock.pending]).toEqual([0, 0]);
    reader.goOn();
    expect(reader.size - before).toBe(1_600);
  });

  test('the service feels the speed: it is asked to pause at 64 KiB, and to go on when they have gone', async () => {
    const { env, clock } = faultEnv();
    const { reply, body, asked } = streamReply();
    const { service } = faulty([throttled(65_536)], env, () => reply);
    const reader = new Reader(await service(aCall()));
    expect(body.write(new Uint8Array(60_000))).toBe(true);
    expect(body.write(new Uint8Array(60_000))).toBe(false);
    expect([asked.resumed, reader.size]).toEqual([0, 4_096]);
    await clock.advance(1_000);
    expect(asked.resumed).toBe(1);
    await clock.advance(10_000);
    expect([reader.size, clock.pending, asked.resumed]).toEqual([120_000, 0, 1]);
  });

  test('a call that is cancelled in the middle fails at once, and nothing is left', async () => {
    const { env, clock, active } = faultEnv();
    const { reply, body, asked } = streamReply();
    const { service } = faulty([throttled(16)], env, () => reply);
    const call = aCall();
    const reader = new Reader(await service(call));
    body.write(new Uint8Array(100));
    const reason = new CancelledError();
    call.cancel(reason);
    expect([reader.error, reader.end_?.error]).toEqual([reason, reason]);
    expect([asked.cancelled, active.count, clock.pending]).toEqual([true, 0, 0]);
  });

  test('a service that breaks off breaks off here, after what it had sent', async () => {
    const { env, clock, active } = faultEnv();
    const { reply, body, asked } = streamReply();
    const { service } = faulty([throttled(160)], env, () => reply);
    const reader = new Reader(await service(aCall()));
    body.write(new Uint8Array(20));
    const lost = new CancelledError('lost');
    body.fail(lost);
    asked.cancelled = true;
    expect([reader.size, reader.error]).toEqual([10, undefined]);
    await clock.advance(63);
    expect([reader.size, reader.error, active.count, clock.pending]).toEqual([20, lost, 0, 0]);
  });

  test('a reader that goes away takes timer and place with it', async () => {
    const { env, clock, active } = faultEnv();
    const { reply, body, asked } = streamReply();
    const { service } = faulty([throttled(16)], env, () => reply);
    const slow = await service(aCall());
    new Reader(slow);
    body.write(new Uint8Array(100));
    slow.body.cancel();
    expect([asked.cancelled, active.count, clock.pending]).toEqual([true, 0, 0]);
  });

  test('whatever comes in, all of it goes out in order, and never faster than configured', async () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('write' as const), size: fc.nat(3_000) }),
      fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 700 }) }),
      fc.record({ kind: fc.constantFrom('pause' as const, 'go-on' as const) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 20_000 }), fc.array(step, { maxLength: 40 }), async (rate, steps) => {
        const { env, clock, active } = faultEnv();
        const { reply, body, finish } = streamReply();
        const { service } = faulty([throttled(rate)], env, () => reply);
        const reader = new Reader(await service(aCall()));
        const startedAt = clock.now();
        const written: Uint8Array[] = [];
        let next = 0;
        const fits = (): void => {
          const seconds = (clock.now() - startedAt) / 1_000;
          // The first slice is there at once.
          expect(reader.size).toBeLessThanOrEqual(Math.floor(rate / 16 + rate * seconds + 1e-6));
        };
        for (const one of steps) {
          if (one.kind === 'write') {
            const chunk = Uint8Array.from({ length: one.size }, () => next++ % 251);
            written.push(chunk);
            body.write(chunk);
          } else if (one.kind === 'wait') await clock.advance(one.ms);
          else if (one.kind === 'pause') reader.room = false;
          else reader.goOn();
          fits();
        }
        finish();
        reader.goOn();
        await clock.advance(100_000_000);
        fits();
        expect(Buffer.compare(reader.bytes, Buffer.concat(written))).toBe(0);
        expect([reader.ended, reader.end_?.error, active.count, clock.pending]).toEqual([true, undefined, 0, 0]);
      }),
      { numRuns: 60 },
    );
  });
});

describe('a truncated reply', () => {
  test('breaks off after so many bytes with an error that says who did it', async () => {
    const { env, active, faults } = faultEnv();
    const { service } = faulty([truncated(10)], env, () => bytesReply(Buffer.from('0123456789abcdef')));
    const call = aCall();
    const reader = new Reader(await service(call));
    expect([reader.bytes.toString(), reader.ended]).toEqual(['0123456789', false]);
    expect(reader.error).toMatchObject({ code: 'FAULT_INJECTED', fault: 'truncate', reached: 'yes', origin: 'mesh' });
    expect(reader.end_?.error).toBe(reader.error);
    expect([active.count, faults(), call.record.flags]).toEqual([0, ['truncate'], ['FI']]);
  });

  test('one that is no longer than that is whole', async () => {
    const { env, active, faults } = faultEnv();
    const { service } = faulty([truncated(10)], env, () => bytesReply(Buffer.from('0123456789')));
    const reader = new Reader(await service(aCall()));
    expect([reader.ended, reader.error, active.count, faults()]).toEqual([true, undefined, 0, []]);
  });

  test('after 0 bytes: a head, and nothing', async () => {
    const { env } = faultEnv();
    const { reply, body, asked } = streamReply();
    const { service } = faulty([truncated(0)], env, () => reply);
    const reader = new Reader(await service(aCall()));
    expect(reader.error).toBeUndefined();
    body.write(new Uint8Array(1));
    expect([reader.size, reader.error?.code, asked.cancelled]).toEqual([0, 'FAULT_INJECTED', true]);
  });

  test('slowly, when it is throttled as well', async () => {
    const { env, clock } = faultEnv();
    const both = throttled(160, { truncate: { afterBytes: 25, share: 1 } });
    const { service } = faulty([both], env, () => bytesReply(new Uint8Array(100)));
    const reader = new Reader(await service(aCall()));
    await clock.advance(62.5);
    expect([reader.size, reader.error]).toEqual([20, undefined]);
    await clock.advance(62.5);
    expect([reader.size, reader.error?.code, clock.pending]).toEqual([25, 'FAULT_INJECTED', 0]);
  });

  test('a place is given back when the call fails without a reply', async () => {
    const { env, active } = faultEnv();
    const { service } = faulty([truncated(1)], env, () => Promise.reject(new CancelledError()));
    await service(aCall()).catch(() => {});
    await settle();
    expect(active.count).toBe(0);
  });
});

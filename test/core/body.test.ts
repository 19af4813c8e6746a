import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type BodySink, BytesBody, collect, StreamBody } from '../../src/core/body.js';
import { CancelledError, RequestBodyError } from '../../src/core/errors.js';

class Sink implements BodySink {
  readonly chunks: string[] = [];
  outcome: string | undefined;
  full = false;
  write(chunk: Uint8Array): boolean {
    this.chunks.push(Buffer.from(chunk).toString());
    return !this.full;
  }
  end(): void {
    this.outcome = this.outcome === undefined ? 'ended' : 'twice';
  }
  fail(error: Error): void {
    this.outcome = this.outcome === undefined ? error.name : 'twice';
  }
}

const bytes = (text: string): Uint8Array => Buffer.from(text);

function stream(): { body: StreamBody; events: string[] } {
  const events: string[] = [];
  const body = new StreamBody({ resume: () => events.push('resume'), cancel: () => events.push('cancel') });
  return { body, events };
}

describe('StreamBody', () => {
  test('chunks that come before the consumer are delivered when it comes, then the end', () => {
    const { body } = stream();
    const sink = new Sink();
    body.write(bytes('a'));
    body.write(bytes('b'));
    body.end();
    body.pipe(sink);
    expect(sink.chunks).toEqual(['a', 'b']);
    expect(sink.outcome).toBe('ended');
  });

  test('asks the producer to pause once 64 KiB wait for a consumer, and to go on when one has come', () => {
    const { body, events } = stream();
    expect(body.write(new Uint8Array(65_535))).toBe(true);
    expect(body.write(new Uint8Array(1))).toBe(false);
    expect(events).toEqual([]);
    body.pipe(new Sink());
    expect(events).toEqual(['resume']);
  });

  test('passes the consumer’s back-pressure to the producer', () => {
    const { body, events } = stream();
    const sink = new Sink();
    sink.full = true;
    const flow = body.pipe(sink);
    expect(body.write(bytes('a'))).toBe(false);
    expect(body.write(bytes('b'))).toBe(false);
    expect(sink.chunks).toEqual(['a']);
    sink.full = false;
    flow.resume();
    expect(sink.chunks).toEqual(['a', 'b']);
    expect(events).toEqual(['resume']);
  });

  test('a failure is told after what came before it', () => {
    const { body } = stream();
    const sink = new Sink();
    body.write(bytes('a'));
    body.fail(new RequestBodyError('broken'));
    body.pipe(sink);
    expect(sink.chunks).toEqual(['a']);
    expect(sink.outcome).toBe('RequestBodyError');
  });

  test('cancel tells the producer once, and nothing after the end', () => {
    const { body, events } = stream();
    body.cancel(new CancelledError());
    body.cancel();
    expect(events).toEqual(['cancel']);
    const other = stream();
    other.body.end();
    other.body.cancel();
    expect(other.events).toEqual([]);
  });

  test('whatever the interleaving, everything arrives once and in order, and the end last', () => {
    const action = fc.oneof(
      fc.constant('pipe' as const),
      fc.constant('resume' as const),
      fc.constant('fill' as const),
      fc.constant('drain' as const),
      fc.string({ minLength: 1, maxLength: 5 }).map((text) => ({ text })),
    );
    fc.assert(
      fc.property(fc.array(action, { maxLength: 40 }), (actions) => {
        const { body } = stream();
        const sink = new Sink();
        let piped = false;
        const sent: string[] = [];
        for (const step of actions) {
          if (step === 'pipe') {
            if (!piped) body.pipe(sink);
            piped = true;
          } else if (step === 'resume') {
            if (piped) body.resume();
          } else if (step === 'fill') sink.full = true;
          else if (step === 'drain') sink.full = false;
          else {
            sent.push(step.text);
            body.write(bytes(step.text));
          }
        }
        body.end();
        sink.full = false;
        if (!piped) body.pipe(sink);
        body.resume();
        expect(sink.chunks.join('')).toBe(sent.join(''));
        expect(sink.outcome).toBe('ended');
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('collect', () => {
  const tooLarge = (limit: number) => new RequestBodyError(`more than ${limit} bytes`);

  test('reads a body whole', async () => {
    const { body } = stream();
    const whole = collect(body, 10, tooLarge);
    body.write(bytes('ab'));
    body.write(bytes('cd'));
    body.end();
    expect(Buffer.from(await whole).toString()).toBe('abcd');
  });

  test('refuses a body that is larger than the limit, and lets its source go', async () => {
    const { body, events } = stream();
    const whole = collect(body, 3, tooLarge);
    body.write(bytes('abcd'));
    await expect(whole).rejects.toThrow('more than 3 bytes');
    expect(events).toEqual(['cancel']);
    await expect(collect(new BytesBody(bytes('abcd')), 3, tooLarge)).rejects.toThrow('more than 3 bytes');
  });
});

import { expect, test } from 'vitest';
import { type Ambient, withAmbient } from '../../src/core/ambient.js';
import { headerFields } from '../../src/core/headers.js';
import { seededRandom } from '../../src/core/random.js';
import { OwnPropagation } from '../../src/observability/trace/own-propagation.js';
import { aCall } from '../support/calls.js';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const PARENT = `00-${TRACE}-00f067aa0ba902b7-01`;
const served: Ambient = {
  deadline: Number.POSITIVE_INFINITY,
  cancellation: undefined,
  traceparent: PARENT,
  tracestate: 'vendor=1',
  baggage: 'user=7',
};
const own = (newTraces: 'sampled' | 'unsampled' | 'off' = 'sampled') => new OwnPropagation(seededRandom(1), newTraces);

test('a call made while serving a request carries its trace on, unchanged, because nothing here records a span', () => {
  const call = aCall();
  withAmbient(served, () => own().write(call));
  expect(call.headers).toMatchObject({ traceparent: PARENT, tracestate: 'vendor=1', baggage: 'user=7' });
  expect(call.record).toMatchObject({ traceId: TRACE, spanId: '00f067aa0ba902b7' });
});

test('headers that the application set count before those of the request being served', () => {
  const mine = '00-11111111111111111111111111111111-2222222222222222-00';
  const call = aCall({ headers: headerFields({ traceparent: mine, baggage: 'mine=1' }) });
  withAmbient(served, () => own().write(call));
  expect(call.headers).toEqual(headerFields({ traceparent: mine, baggage: 'mine=1' }));
  expect(call.record.traceId).toBe('1'.repeat(32));
});

test('a traceparent that is not valid is replaced, and its tracestate goes with it', () => {
  const call = aCall({ headers: headerFields({ traceparent: 'rubbish', tracestate: 'a=1' }) });
  own().write(call);
  expect(call.headers.traceparent).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-03$/);
  expect(call.headers).not.toHaveProperty('tracestate');
});

test('two traceparent headers are as bad as none', () => {
  const call = aCall({ headers: headerFields({ traceparent: [PARENT, PARENT] }) });
  own().write(call);
  expect(call.headers.traceparent).not.toContain(TRACE);
});

test.each([
  ['sampled', '03'],
  ['unsampled', '02'],
] as const)('a call without a trace begins one that is %s', (mode, flags) => {
  const call = aCall();
  own(mode).write(call);
  expect(call.headers.traceparent).toBe(`00-${call.record.traceId}-${call.record.spanId}-${flags}`);
});

test('newTraces off begins none, but still carries on', () => {
  const call = aCall();
  own('off').write(call);
  expect(call.headers).toEqual(headerFields());
  withAmbient(served, () => own('off').write(call));
  expect(call.headers.traceparent).toBe(PARENT);
});

test('all attempts of a call belong to one trace', () => {
  const call = aCall();
  const first = call.attemptOf(1, undefined);
  own().write(first);
  const second = call.attemptOf(2, ['a']);
  own().write(second);
  expect(second.headers.traceparent).toBe(first.headers.traceparent);
});

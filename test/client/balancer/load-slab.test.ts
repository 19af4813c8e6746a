import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { AT, INFLIGHT, LATENCY, slab } from '../../../src/client/balancer/load-slab.js';
import { PeakEwma } from '../../../src/client/balancer/peak-ewma.js';
import { aLiveEndpoint } from '../../support/balancing.js';

test('each endpoint has a row of its own, and keeps what is in it when the slab grows', () => {
  const all = Array.from({ length: 5_000 }, (_, i) => {
    const ewma = new PeakEwma(10_000, i, 0);
    slab.values[ewma.row + INFLIGHT] = i;
    return ewma;
  });
  expect(new Set(all.map(({ row }) => row)).size).toBe(5_000);
  for (const [i, { row }] of all.entries()) {
    expect([slab.values[row + LATENCY], slab.values[row + AT], slab.values[row + INFLIGHT]]).toEqual([i, 0, i]);
  }
});

test('calls under way at an endpoint are those of its row, whoever reads them', () => {
  const endpoint = aLiveEndpoint('10.0.0.1:80');
  endpoint.inflight++;
  endpoint.inflight++;
  endpoint.released();
  expect(endpoint.inflight).toBe(1);
  expect(slab.values[endpoint.row + INFLIGHT]).toBe(1);
});

test('rows of endpoints that nobody has any more are given to others: endpoints may come and go for ever', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const size = slab.values.length;
  for (let generation = 0; generation < 40; generation++) {
    for (let i = 0; i < size / 16; i++) void new PeakEwma(10_000, 30, 0);
    collect();
    await setImmediate();
  }
  // As many as would fill it twenty times over.
  expect(slab.values.length).toBeLessThanOrEqual(2 * size);
});

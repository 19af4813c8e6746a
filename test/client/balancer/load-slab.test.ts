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

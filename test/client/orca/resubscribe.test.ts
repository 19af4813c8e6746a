import { expect, test } from 'vitest';
import { OutOfBandReports } from '../../../src/client/orca/out-of-band.js';
import { seededRandom } from '../../../src/core/random.js';
import type { Transport } from '../../../src/core/transport.js';
import { anEndpoint } from '../../support/endpoints.js';
import { FakeClock } from '../../support/fake-clock.js';
import { recordingLogger } from '../../support/outliers.js';

test('load reports are asked for again of all of many endpoints when a new balancer takes over at once', () => {
  const clock = new FakeClock();
  let streams = 0;
  const transport: Transport = {
    connections: 1,
    call: () => {
      streams++;
      return new Promise(() => {});
    },
    connect: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
  const reports = new OutOfBandReports(() => ({ name: 'reviews' }), {
    clock,
    random: seededRandom(1),
    logger: recordingLogger().logger,
  });
  const endpoints = Array.from({ length: 64 }, (_, i) => {
    const config = anEndpoint(`10.0.0.${i + 1}:80`);
    return { key: config.key, config, transport: () => transport };
  });
  const subscribe = () => endpoints.map((endpoint) => reports.subscribe(endpoint, 10_000, () => {}));
  const stops = subscribe();
  for (const stop of stops) stop();
  subscribe();
  expect(streams).toBe(128);
});

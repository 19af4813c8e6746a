import { expect, test } from 'vitest';
import { FakeClock, testMesh } from '../../../src/testing/index.js';
import { requestPolicyYaml } from '../../support/mesh-yaml.js';

/* What a user's own tests see of faults. */

test('testMesh holds requests up on the clock that it is given, from the first one on', async () => {
  const clock = new FakeClock();
  const config = requestPolicyYaml(
    'FaultPolicy',
    'slow',
    'kind: Service, name: reviews',
    'delay: { fixedDelay: 200ms }',
  );
  const mesh = testMesh({ services: { reviews: () => new Response('served') }, config, clock });
  const answer = mesh.fetch('http://reviews/').then((response) => response.text());
  await clock.advance(199);
  expect(mesh.requests.length).toBe(0);
  await clock.advance(1);
  expect(await answer).toBe('served');
  await mesh.close();
});

test('two meshes on clocks of their own know nothing of each other’s experiments', async () => {
  const config = requestPolicyYaml(
    'FaultPolicy',
    'down',
    'kind: Service, name: reviews',
    'abort: { httpStatus: 503 }, experiment: { duration: 1m }',
  );
  const open = (clock: FakeClock) => testMesh({ services: { reviews: () => new Response('served') }, config, clock });
  const clock = new FakeClock();
  const before = open(clock);
  expect((await before.fetch('http://reviews/')).status).toBe(503);
  await clock.advance(60_000);
  expect((await before.fetch('http://reviews/')).status).toBe(200);
  await before.close();
  const after = open(new FakeClock());
  expect((await after.fetch('http://reviews/')).status).toBe(503);
  await after.close();
});

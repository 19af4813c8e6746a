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

test.each([
  ['delay: { fixedDelay: 50ms }, reset: {}, abort: { httpStatus: 500 }', ['delay', 'reset'], 'FAULT_INJECTED'],
  ['delay: { uniform: { min: 50ms, max: 50ms } }, abort: { httpStatus: 500 }', ['delay', 'abort'], 500],
  ['delay: { uniform: { min: 50ms, max: 50ms } }, reset: {}', ['delay', 'reset'], 'FAULT_INJECTED'],
  ['abort: { headerAbort: {} }, truncate: { afterBytes: 1 }', ['truncate'], 'FAULT_INJECTED'],
] as const)('a policy is one, whatever parts of it Envoy has words for: %s', async (spec, faults, outcome) => {
  const clock = new FakeClock();
  const config = requestPolicyYaml(
    'FaultPolicy',
    'mixed',
    'kind: Service, name: reviews',
    `${spec}, maxActiveFaults: 1`,
  );
  const mesh = testMesh({ services: { reviews: () => new Response('served') }, config, clock });
  const answer = mesh.fetch('http://reviews/').then((response) => response.text().then(() => response.status));
  const seen = answer.catch((error: { code?: string; cause?: { code?: string } }) => error.code ?? error.cause?.code);
  await clock.advance(50);
  expect(await seen).toBe(outcome);
  const counted = [...mesh.prometheus().matchAll(/mesh_faults_total\{[^}]*mesh_fault="(\w+)"\} 1\n/g)];
  expect(counted.map(([, fault]) => fault)).toEqual(faults);
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

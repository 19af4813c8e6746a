import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../../../src/core/random.js';
import {
  CLUSTER,
  ENDPOINT,
  LISTENER,
  type Resource,
  type ResourceType,
  ROUTE,
} from '../../../../src/core/resources.js';
// Else it is loaded with the first retry, which takes longer than calls are waited for.
import '../../../../src/resilience/retry/repeat.js';
import { ResourceError } from '../../../../src/xds/resources/message.js';
import { retain } from '../../../../src/xds/resources/share.js';
import { loadCodec } from '../../../../src/xds/wire/codec.js';
import { messageName } from '../../../../src/xds/wire/names.js';
import { decodeNow } from '../../../support/decoders.js';
import { messageType } from '../../wire/schema.js';
import { fuzz } from './fuzz.js';
import { assignment, cluster } from './generate-clusters.js';
import { clientListener, serverListener } from './generate-listeners.js';
import { routeConfiguration } from './generate-routes.js';
import { Make } from './make.js';
import { mutateMessage } from './mutate.js';
import { NAME } from './serve.js';

/** The release's run is `node scripts/fuzz.mjs --count 5000000`, the one before every merge has 200,000. */
const MUTANTS = 5_000;
const SEED = 20_260_701;
/** Where the machine is busy; no part of what is tested. */
const PATIENCE_MS = 120_000;

const codec = await loadCodec();

describe('what a control plane sends', () => {
  test(
    'is used or refused, whatever it is: nothing else is thrown, then or by the calls that follow',
    async () => {
      const { made, accepted, malformed, refused, calls } = await fuzz({ codec, seed: SEED, count: MUTANTS });
      expect(made).toBe(MUTANTS);
      expect(accepted + malformed + refused).toBe(MUTANTS);
      expect(calls).toBeGreaterThan(MUTANTS / 4);
      // Mutations change little: about half of what comes out of them is a resource that can be used.
      expect(accepted).toBeGreaterThan(MUTANTS / 3);
    },
    PATIENCE_MS,
  );

  const generators: [string, ResourceType, (make: Make) => Resource][] = [
    ['a client’s listener', LISTENER, (make) => clientListener(make, NAME)],
    ['a server’s listener', LISTENER, (make) => serverListener(make, NAME)],
    ['a route configuration', ROUTE, (make) => routeConfiguration(make, NAME)],
    ['a cluster', CLUSTER, (make) => cluster(make, NAME)],
    ['an assignment', ENDPOINT, (make) => assignment(make, NAME)],
  ];

  test.each(generators)('%s as it is generated is valid, and the same after the wire', (_, type, generate) => {
    for (let i = 0; i < 200; i++) {
      const resource = generate(new Make(seededRandom(i)));
      const model = decodeNow(type, resource, NAME);
      const again = decodeNow(type, codec.decodeResource(type, codec.encodeResource(type, resource)), NAME);
      // Equal means the same object.
      expect(retain(model, again)).toBe(model);
    }
  });

  test.each(generators)('%s: one seed makes one mutant', (_, type, generate) => {
    const mutant = (seed: number): Resource => {
      const random = seededRandom(seed);
      const resource = generate(new Make(random)) as Record<string, unknown>;
      mutateMessage(messageType(messageName(type)), resource, random, 3);
      return resource;
    };
    for (let seed = 0; seed < 50; seed++)
      expect(String(Object.entries(mutant(seed)))).toBe(String(Object.entries(mutant(seed))));
  });

  test.each([undefined, null, 1, 'x', [], new Uint8Array(1)])('what is no message at all is refused: %j', (value) => {
    for (const type of [LISTENER, ROUTE, CLUSTER, ENDPOINT] as const)
      expect(() => decodeNow(type, value as unknown as Resource, NAME)).toThrow(ResourceError);
  });
});

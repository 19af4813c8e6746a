import { describe, expect, test } from 'vitest';
import { ENDPOINT, type Resource, ROUTE } from '../../../src/core/resources.js';
import type { Steps } from '../../../src/core/steps.js';
import { OWN } from '../../../src/xds/origin.js';
import type { Decoder } from '../../../src/xds/resources/decoders.js';
import { loadCodec } from '../../../src/xds/wire/codec.js';
import { decodersByType } from '../../support/decoders.js';
import { HUGE_RESOURCES } from '../../support/huge-resources.js';
import { endpointResource, routeResource, toCluster } from '../../support/xds-resources.js';

const codec = await loadCodec();

/** Runs the work and counts its pauses. */
function counted<T>(work: Steps<T>): { readonly pauses: number; readonly result: T } {
  for (let pauses = 0; ; pauses++) {
    const step = work.next();
    if (step.done === true) return { pauses, result: step.value };
  }
}

describe('a huge resource', () => {
  test.each(HUGE_RESOURCES)('$what is read, decoded and kept with pauses all along', ({ type, parts, make }) => {
    const decode = decodersByType[type] as Decoder<unknown>;
    const bytes = codec.encodeResource(type, make());
    const plain = counted(codec.decodeResourceSteps(type, bytes));
    // Thousands of fields each.
    expect(plain.pauses).toBeGreaterThan(50);
    expect(plain.result).toEqual(codec.decodeResource(type, bytes));
    const first = counted(decode(plain.result, 'huge', OWN));
    expect(first.pauses).toBeGreaterThan(parts);
    const again = counted(decode(codec.decodeResource(type, bytes), 'huge', OWN, first.result));
    expect(again.pauses).toBeGreaterThan(2 * parts);
    expect(again.result).toBe(first.result);
  });
});

describe('a small resource', () => {
  const small: readonly [typeof ENDPOINT | typeof ROUTE, Resource][] = [
    [ENDPOINT, endpointResource('a', 80, 81)],
    [ROUTE, routeResource('a', [toCluster('c')])],
  ];
  test.each(small)('is read in one go: %s', (type, resource) => {
    expect(counted(codec.decodeResourceSteps(type, codec.encodeResource(type, resource))).pauses).toBe(0);
  });
});

import type { Resource, ResourceType } from '../../src/core/resources.js';
import { runToEnd } from '../../src/core/steps.js';
import { OWN } from '../../src/xds/origin.js';
import { decodersFor, type Models } from '../../src/xds/resources/decoders.js';

export const decodersByType = decodersFor({ certificateProviders: new Set(['default']) });

/** One resource decoded in one go, as something of the application's own. */
export const decodeNow = <T extends ResourceType>(type: T, resource: Resource, name: string): Models[T] =>
  runToEnd(decodersByType[type](resource, name, OWN) as Generator<undefined, Models[T], undefined>);

type DecodeNow = { readonly [T in ResourceType]: (resource: Resource, name: string) => Models[T] };

/** The same by type: `decoders[CLUSTER](resource, 'a')`. */
export const decoders = new Proxy({} as DecodeNow, {
  get: (_, type) => (resource: Resource, name: string) => decodeNow(type as ResourceType, resource, name),
});

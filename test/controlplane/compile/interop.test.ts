import { createRequire } from 'node:module';
import { describe, expect, test } from 'vitest';
import {
  CLUSTER,
  ENDPOINT,
  LISTENER,
  type Resource,
  RESOURCE_TYPES,
  type ResourceType,
  ROUTE,
} from '../../../src/core/resources.js';
import { decoders } from '../../support/decoders.js';
import { loadCodec } from '../../../src/xds/wire/index.js';
import { bookinfo, everything } from '../../support/mesh-examples.js';
import { grants } from '../../support/mesh-grants.js';
import { asJson, compileYaml } from '../../support/mesh-yaml.js';

/** The validators of a client that is not ours, run on our bytes. */
interface ResourceKind {
  get(): { decode(context: unknown, any: { type_url: string; value: Uint8Array }): { name: string; error?: string } };
}
const require = createRequire(import.meta.url);
const folder = '@grpc/grpc-js-xds/build/src/xds-resource-type/';
const theirs: Record<ResourceType, ResourceKind> = {
  [LISTENER]: require(`${folder}listener-resource-type.js`).ListenerResourceType,
  [ROUTE]: require(`${folder}route-config-resource-type.js`).RouteConfigurationResourceType,
  [CLUSTER]: require(`${folder}cluster-resource-type.js`).ClusterResourceType,
  [ENDPOINT]: require(`${folder}endpoint-resource-type.js`).EndpointResourceType,
};
for (const name of ['round-robin', 'typed-struct', 'wrr-locality', 'pick-first']) {
  require(`@grpc/grpc-js-xds/build/src/lb-policy-registry/${name}.js`).setup();
}
require('@grpc/grpc-js-xds/build/src/http-filter/router-filter.js').setup();

const each = (text: string, visit: (type: ResourceType, name: string, resource: Resource) => void): void => {
  const { resources } = compileYaml(text);
  for (const type of RESOURCE_TYPES) for (const [name, resource] of resources[type]) visit(type, name, resource);
};

describe('what is compiled', () => {
  test.each([
    ['bookinfo', bookinfo],
    ['every field', everything],
  ])('is taken by our own decoders: %s', (_, text) => {
    let count = 0;
    each(text, (type, name, resource) => {
      expect(() => decoders[type](resource, name), `${type} ${name}`).not.toThrow();
      count++;
    });
    expect(count).toBeGreaterThan(20);
  });

  test.each([
    ['bookinfo', bookinfo],
    ['every field', everything],
  ])('is the same after a trip over the wire: %s', async (_, text) => {
    const codec = await loadCodec();
    each(text, (type, name, resource) => {
      expect(codec.decodeResource(type, codec.encodeResource(type, resource)), `${type} ${name}`).toEqual(resource);
    });
  });

  test('for gRPC services is taken by grpc-js-xds', async () => {
    const codec = await loadCodec();
    each(bookinfo, (type, name, resource) => {
      const value = codec.encodeResource(type, resource);
      const context = { bootstrap: { certificateProviders: {} }, client: {}, server: {} };
      const result = theirs[type].get().decode(context, { type_url: type, value });
      expect(result, `${type} ${name}`).toMatchObject({ name });
      expect(result.error, `${type} ${name}`).toBeUndefined();
    });
  });

  test('does not depend on the order of files', () => {
    const documents = everything.split('\n---\n').filter((text) => text.trim() !== '');
    const forwards = compileYaml(documents.join('\n---\n'));
    const backwards = compileYaml([...documents].reverse().join('\n---\n'));
    expect(JSON.stringify(asJson(backwards))).toBe(JSON.stringify(asJson(forwards)));
  });

  test.each([
    ['bookinfo', bookinfo],
    ['everything', everything],
    ['grants', grants],
  ])('stays what it is: %s', async (name, text) => {
    await expect(`${JSON.stringify(asJson(compileYaml(text)), null, 1)}\n`).toMatchFileSnapshot(`golden/${name}.txt`);
  });
});

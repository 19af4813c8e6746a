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
import { requestPolicies } from '../../support/mesh-requests.js';
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

/** A `google.protobuf.Struct` or `Value` as what it stands for. */
function withoutStructs(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const [[key, inner] = [], ...others] = Object.entries(value);
  if (others.length > 0) return value;
  if (key === 'fields') return inner;
  if (key === 'null_value') return null;
  if (key === 'list_value') return (inner as { readonly values?: readonly unknown[] }).values ?? [];
  return /^(number|string|bool|struct)_value$/.test(key ?? '') ? withoutStructs(inner) : value;
}

const each = (text: string, visit: (type: ResourceType, name: string, resource: Resource) => void): void => {
  const { resources } = compileYaml(text);
  for (const type of RESOURCE_TYPES) for (const [name, resource] of resources[type]) visit(type, name, resource);
};

describe('what is compiled', () => {
  test.each([
    ['bookinfo', bookinfo],
    ['every field', everything],
    ['policies of requests', requestPolicies],
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
    ['policies of requests', requestPolicies],
  ])('is the same after a trip over the wire: %s', async (_, text) => {
    const codec = await loadCodec();
    each(text, (type, name, resource) => {
      expect(codec.decodeResource(type, codec.encodeResource(type, resource)), `${type} ${name}`).toEqual(resource);
    });
  });

  test.each([
    ['gRPC services', bookinfo],
    ['policies of requests', requestPolicies],
  ])('is taken by grpc-js-xds: %s', async (_, text) => {
    const codec = await loadCodec();
    each(text, (type, name, resource) => {
      const value = codec.encodeResource(type, resource);
      const context = { bootstrap: { certificateProviders: {} }, client: {}, server: {} };
      const result = theirs[type].get().decode(context, { type_url: type, value });
      expect(result, `${type} ${name}`).toMatchObject({ name });
      expect(result.error, `${type} ${name}`).toBeUndefined();
    });
  });

  test.each([
    ['every field', everything],
    ['policies of requests', requestPolicies],
  ])('does not depend on the order of files: %s', (_, text) => {
    const documents = text.split('\n---\n').filter((document) => document.trim() !== '');
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

  test('stays what it is: requests, with each Struct as the value that it holds', async () => {
    const all = asJson(compileYaml(requestPolicies));
    const routes = all[ROUTE];
    const listeners = Object.fromEntries(
      ['a', 'inmesh.dev/inbound/a', 'inmesh.dev/inbound/a:90'].map((name) => [name, all[LISTENER]?.[name]]),
    );
    const text = JSON.stringify({ routes, listeners }, (_, value) => withoutStructs(value), 1);
    await expect(`${text}\n`).toMatchFileSnapshot('golden/requests.txt');
  });
});

import { expect, test } from 'vitest';
import { meshClient } from '../../../src/index.js';

const refused = (options: unknown): string => {
  try {
    void meshClient(options as object).close();
  } catch (error) {
    return `${(error as Error).name}: ${(error as Error).message}`;
  }
  return 'accepted';
};

test.each([
  [{ servces: {} }, 'options.servces: unknown field; did you mean "services"?'],
  [{ xdsServer: 'a:1' }, 'options.xdsServer: unknown field; known: service, services, config'],
  [JSON.parse('{"__proto__":1}') as object, 'options.__proto__: unknown field'],
  [{ unknownhosts: 'deny' }, 'did you mean "unknownHosts"?'],
  [{ unknownHosts: 'allow' }, 'options.unknownHosts: must be one of passthrough, deny, got "allow"'],
  [{ tracing: true }, 'options.tracing: must be one of own, off, got true'],
  [
    { xds: 'http://127.0.0.1:18000' },
    'options.xds: must be host:port or a gRPC bootstrap as an object, got "http://127.0.0.1:18000"',
  ],
  [{ xds: 18000 }, 'options.xds: must be host:port or a gRPC bootstrap as an object, got 18000'],
  [{ config: 5 }, 'options.config: must be a path or an array of paths, got 5'],
  [{ config: 'a', xds: 'b:1' }, 'options: give only one of services, config and xds, got config and xds'],
  [{ services: ['127.0.0.1:1'] }, 'options.services: must be an object'],
  [{ service: 5 }, 'options.service: must be a string, got 5'],
  [null, 'meshClient(options): must be an object, got null'],
])('meshClient(%j) is refused at once, and the message says what would be right', (options, message) => {
  expect(refused(options)).toContain(`DecodeError: `);
  expect(refused(options)).toContain(message);
});

test.each([
  [{ reviews: ['127.0.0.1'] }, 'reviews'],
  [{ reviews: ['127.0.0.1:99999'] }, '99999'],
  [{ reviews: '127.0.0.1:1' }, 'reviews'],
  [{ 'not a name': ['127.0.0.1:1'] }, 'not a name'],
  [{ reviews: ['127.0.0.1:1', '127.0.0.1:1'] }, '127.0.0.1:1'],
])('services: %j is refused at once, and the message names the mistake', (services, message) => {
  expect(refused({ services })).toContain('DecodeError: ');
  expect(refused({ services })).toContain(message);
});

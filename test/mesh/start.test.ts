import { readFileSync } from 'node:fs';
import { Client, Dispatcher, errors } from 'undici';
import errorsFile from 'undici/lib/core/errors.js';
import utilFile from 'undici/lib/core/util.js';
import ClientFile from 'undici/lib/dispatcher/client.js';
import DispatcherFile from 'undici/lib/dispatcher/dispatcher.js';
import { describe, expect, test } from 'vitest';
import { DecodeError, meshClient, VERSION } from '../../src/index.js';
import { checkOptions } from '../../src/mesh/options.js';

describe('the parts of undici that are taken from its files', () => {
  test('are the very classes that the package exports', () => {
    expect(ClientFile).toBe(Client);
    expect(DispatcherFile).toBe(Dispatcher);
    expect(errorsFile.SocketError).toBe(errors.SocketError);
    expect(typeof utilFile.parseHeaders).toBe('function');
  });
});

describe('options of meshClient', () => {
  test.each([
    [{ servces: {} }, 'options.servces: unknown field; did you mean "services"?'],
    [{ services: {}, xds: 'a:1' }, 'options: give only one of services, config and xds, got services and xds'],
    [{ xds: 'http://a:1' }, 'options.xds: must be host:port or a gRPC bootstrap as an object, got "http://a:1"'],
    [{ services: 7 }, 'options.services: must be an object, got 7'],
    [{ xds: '127.0.0.1:99999' }, 'got "127.0.0.1:99999", whose port is not from 1 to 65535'],
    [{ config: 7 }, 'options.config: must be a path or an array of paths, got 7'],
    [{ services: { reviews: '127.0.0.1:1' } }, 'options.services.reviews: must be a list of host:port'],
    [{ services: { reviews: ['nowhere'] } }, 'options.services.reviews[0]: must be host:port'],
    [{ services: { Reviews: [] } }, 'options.services.Reviews: the name of a service'],
    [{ services: { reviews: ['127.0.0.1:99999'] } }, 'got "127.0.0.1:99999", whose port is not from 1 to 65535'],
    [{ reserveMs: Number.NaN }, 'options.reserveMs: must be a number from 0 to 60000, got NaN'],
    [{ unknownHosts: 'allow' }, 'options.unknownHosts: must be one of passthrough, deny, got "allow"'],
    [{ reserveMs: -1 }, 'options.reserveMs: must be a number from 0 to 60000, got -1'],
    [null, 'meshClient(options): must be an object, got null'],
  ])('%j is refused', (options, message) => {
    expect(() => checkOptions(options)).toThrow(message);
  });
});

test('services that cannot be meant are thrown by meshClient itself, before anything is started', () => {
  expect(() => meshClient({ services: { reviews: ['nowhere'] } })).toThrow(DecodeError);
});

test('VERSION is the version of the package', () => {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  expect(VERSION).toBe(version);
});

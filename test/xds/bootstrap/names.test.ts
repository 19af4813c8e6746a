import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { listenerName, serverListenerName, targetListenerName } from '../../../src/xds/bootstrap/index.js';
import { decodeError, parse, server, withField } from './support.js';

const LISTENER = 'envoy.config.listener.v3.Listener';
const other = { server_uri: 'xds.other:443', channel_creds: [{ type: 'insecure' }] };

describe('a listener is named by the template', () => {
  test('as it is when the template is no xdstp name', () => {
    expect(listenerName('%s', 'reviews:8080')).toBe('reviews:8080');
    expect(listenerName('mesh/%s/x', 'a$&b')).toBe('mesh/a$&b/x');
    expect(listenerName('%s and %s', 'a')).toBe('a and a');
    expect(listenerName('the-only-one', 'a')).toBe('the-only-one');
  });

  test('percent-encoded where it is, but for what RFC 3986 allows in a path (A47)', () => {
    const template = `xdstp://a/${LISTENER}/%s`;
    expect(listenerName(template, 'a b/c:1')).toBe(`xdstp://a/${LISTENER}/a%20b/c:1`);
    expect(listenerName(template, "-._~!$&'()*+,;=:@/")).toBe(`xdstp://a/${LISTENER}/-._~!$&'()*+,;=:@/`);
    expect(listenerName(template, '[::1]:80?x#50%é')).toBe(`xdstp://a/${LISTENER}/%5B::1%5D:80%3Fx%2350%25%C3%A9`);
  });

  test('for every text, and can be read back from an xdstp name', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (name) => {
        const url = listenerName('xdstp://a/%s', name).slice('xdstp://a/'.length);
        expect(decodeURIComponent(url)).toBe(name);
      }),
    );
    expect(listenerName('xdstp://a/%s', '\ud800')).toBe('xdstp://a/%EF%BF%BD');
  });
});

/** The bootstrap of A47's section "Multiple Authorities". */
const federated = parse({
  xds_servers: [server],
  client_default_listener_resource_name_template: `xdstp://xds.authority.com/${LISTENER}/grpc/client/%s?project_id=1234`,
  server_listener_resource_name_template: `xdstp://xds.authority.com/${LISTENER}/grpc/server/%s?project_id=1234`,
  authorities: {
    'xds.authority.com': {
      client_listener_resource_name_template: `xdstp://xds.authority.com/${LISTENER}/grpc/client/%s?project_id=1234`,
    },
    'xds.other.com': { xds_servers: [other] },
    '': {},
  },
});

describe('a target', () => {
  test('without an authority goes by the default template', () => {
    const name = `xdstp://xds.authority.com/${LISTENER}/grpc/client/server.example.com?project_id=1234`;
    expect(targetListenerName(federated, undefined, 'server.example.com')).toBe(name);
    expect(targetListenerName(federated, '', 'server.example.com')).toBe(name);
  });

  test('with an authority goes by its template', () => {
    expect(targetListenerName(federated, 'xds.authority.com', 'server.example.com')).toBe(
      `xdstp://xds.authority.com/${LISTENER}/grpc/client/server.example.com?project_id=1234`,
    );
    expect(targetListenerName(federated, 'xds.other.com', 'server.other.com')).toBe(
      `xdstp://xds.other.com/${LISTENER}/server.other.com`,
    );
  });

  test('with an authority that the bootstrap does not have is invalid', () => {
    expect(targetListenerName(federated, 'nobody', 'x')).toBeUndefined();
    expect(targetListenerName(federated, 'constructor', 'x')).toBeUndefined();
  });
});

test('a server on an address has a listener of that name, if the bootstrap has a template (A36)', () => {
  expect(serverListenerName(federated, '0.0.0.0:8080')).toBe(
    `xdstp://xds.authority.com/${LISTENER}/grpc/server/0.0.0.0:8080?project_id=1234`,
  );
  const plain = withField('server_listener_resource_name_template', 'grpc/server?xds.resource.listening_address=%s');
  expect(serverListenerName(plain, '[::]:80')).toBe('grpc/server?xds.resource.listening_address=[::]:80');
  expect(serverListenerName(parse({ xds_servers: [server] }), '0.0.0.0:8080')).toBeUndefined();
});

describe('authorities', () => {
  test('have servers of their own, or those of the top level', () => {
    expect(federated.authorities.get('xds.other.com')?.servers.map(({ uri }) => uri)).toEqual(['xds.other:443']);
    expect(federated.authorities.get('xds.authority.com')?.servers).toBe(federated.servers);
    const none = withField('authorities', { a: { xds_servers: [] } });
    expect(none.authorities.get('a')?.servers).toBe(none.servers);
  });

  test('may be nameless, or in need of percent-encoding', () => {
    expect(federated.authorities.get('')?.listenerTemplate).toBe(`xdstp:///${LISTENER}/%s`);
    const { authorities } = withField('authorities', { 'a b/%s': {} });
    expect(authorities.get('a b/%s')?.listenerTemplate).toBe(`xdstp://a%20b%2F%25s/${LISTENER}/%s`);
  });

  const wrong: [string, unknown, string][] = [
    ['that are no object', [], 'authorities: must be an object, got []'],
    ['of which one is none', { a: 1 }, 'authorities.a: must be an object, got 1'],
    [
      "with somebody else's template",
      { a: { client_listener_resource_name_template: 'xdstp://ab/%s' } },
      'authorities.a.client_listener_resource_name_template: must begin with "xdstp://a/", got "xdstp://ab/%s"',
    ],
    [
      'with servers that are none',
      { a: { xds_servers: [{ server_uri: 'x' }] } },
      'authorities.a.xds_servers[0].channel_creds: must be a list, got undefined',
    ],
  ];
  test.each(wrong)('%s are an error that names the place', (_name, authorities, message) => {
    expect(() => withField('authorities', authorities)).toThrow(decodeError(message));
  });
});

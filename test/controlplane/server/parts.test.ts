import { describe, expect, it } from 'vitest';
import { Debounce } from '../../../src/controlplane/server/debounce.js';
import { isLoopback, parseListenAddress } from '../../../src/controlplane/server/listen-address.js';
import { nodeProblem } from '../../../src/controlplane/server/node-identity.js';
import { nodeInfo } from '../../../src/controlplane/server/node-info.js';
import { structOf } from '../../../src/xds/bootstrap/struct.js';
import { FakeClock } from '../../support/fake-clock.js';

describe('a debounce of 100 ms, 10 s at most', () => {
  function setUp() {
    const clock = new FakeClock();
    let runs = 0;
    const debounce = new Debounce(clock, { quietMs: 100, maxMs: 10_000 }, () => runs++);
    return { clock, debounce, runs: () => runs };
  }

  it('acts once, 100 ms after the last of many changes', async () => {
    const { clock, debounce, runs } = setUp();
    for (let i = 0; i < 5; i++) {
      debounce.trigger();
      await clock.advance(99);
    }
    expect(runs()).toBe(0);
    await clock.advance(1);
    expect(runs()).toBe(1);
    await clock.advance(1_000);
    expect(runs()).toBe(1);
  });

  it('acts after 10 s, however steadily things change', async () => {
    const { clock, debounce, runs } = setUp();
    for (let i = 0; i < 200; i++) {
      debounce.trigger();
      await clock.advance(50);
    }
    expect(runs()).toBe(1);
  });

  it('forgets what is pending when closed', async () => {
    const { clock, debounce, runs } = setUp();
    debounce.trigger();
    debounce.close();
    expect(clock.pending).toBe(0);
    await clock.advance(1_000);
    expect(runs()).toBe(0);
  });
});

describe('addresses to listen on', () => {
  it('are host:port with the host always given', () => {
    expect(parseListenAddress('127.0.0.1:18000', 'listen')).toEqual({ host: '127.0.0.1', port: 18_000 });
    expect(parseListenAddress('[::1]:0', 'listen')).toEqual({ host: '::1', port: 0 });
    expect(parseListenAddress('localhost:1', 'listen')).toEqual({ host: 'localhost', port: 1 });
  });

  it.each([':18000', '18000', '127.0.0.1', '127.0.0.1:99999', '[fish]:1', '::1:80', 'a b:1', 18_000, undefined])(
    '%s is refused',
    (value) => {
      expect(() => parseListenAddress(value, 'options.listen')).toThrow(
        /^options\.listen: must be host:port, such as 127\.0\.0\.1:18000/,
      );
    },
  );

  it('name the range when the port is out of it', () => {
    expect(() => parseListenAddress('127.0.0.1:99999', 'options.listen')).toThrow(
      'got "127.0.0.1:99999", whose port is not from 0 to 65535',
    );
  });

  it('tells whether only this machine can reach them', () => {
    expect(['127.0.0.1', '127.8.8.8', '::1', 'localhost'].every(isLoopback)).toBe(true);
    expect(['0.0.0.0', '::', '10.0.0.1', 'example.com'].some(isLoopback)).toBe(false);
  });
});

describe('what a client says of itself', () => {
  it('gRPC gives its version as text, Envoy in numbers', () => {
    expect(nodeInfo({ id: 'a', cluster: 'b', user_agent_name: 'gRPC C-core', user_agent_version: '1.62.0' })).toEqual({
      id: 'a',
      cluster: 'b',
      userAgent: 'gRPC C-core/1.62.0',
      namespace: '',
      serviceAccount: '',
    });
    const build = { version: { major_number: 1, minor_number: 31 } };
    expect(nodeInfo({ user_agent_name: 'envoy', user_agent_build_version: build }).userAgent).toBe('envoy/1.31.0');
  });

  it('is cut short, and anything that is not text is left out', () => {
    const metadata = structOf({ NAMESPACE: 7, SERVICE_ACCOUNT: { string_value: 'web' } }, 'metadata');
    expect(nodeInfo({ id: 'x'.repeat(1_000), cluster: 7, metadata })).toEqual({
      id: 'x'.repeat(256),
      cluster: '',
      userAgent: '',
      namespace: '',
      serviceAccount: '',
    });
  });
});

describe('whether a client may be who it says', () => {
  const of = (NAMESPACE?: string, SERVICE_ACCOUNT?: string) =>
    nodeInfo({ id: 'n', cluster: 'anything', metadata: structOf({ NAMESPACE, SERVICE_ACCOUNT }, 'metadata') });
  const WEB = 'spiffe://cluster.local/ns/prod/sa/web';

  it.each([
    ['says nothing', of(), WEB],
    ['says both', of('prod', 'web'), WEB],
    ['says one of them', of('prod'), WEB],
    ['says the other', of(undefined, 'web'), WEB],
    ['says nothing and has a SPIFFE ID of another form', of(), 'spiffe://cluster.local/web'],
  ])('one that %s as its certificate does', (_, node, spiffeId) => {
    expect(nodeProblem(node, spiffeId)).toBeUndefined();
  });

  it.each([
    ['another namespace', of('default', 'web'), WEB],
    ['another account', of('prod', 'payments'), WEB],
    ['a part of it', of('prod', 'we'), WEB],
    ['more than it', of('prod', 'web/x'), WEB],
    ['what a SPIFFE ID of another form does not say', of('prod'), 'spiffe://cluster.local/web'],
    ['what is further down in it', of('prod', 'web'), 'spiffe://cluster.local/x/ns/prod/sa/web'],
  ])('one that says %s may not, and both are named', (_, node, spiffeId) => {
    const problem = nodeProblem(node, spiffeId);
    expect(problem).toContain(spiffeId);
    expect(problem).toContain(`NAMESPACE "${node.namespace}"`);
  });
});

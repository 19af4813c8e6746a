import { describe, expect, it } from 'vitest';
import { Debounce } from '../../../src/controlplane/server/debounce.js';
import { isLoopback, parseListenAddress } from '../../../src/controlplane/server/listen-address.js';
import { nodeInfo } from '../../../src/controlplane/server/node-info.js';
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
    });
    const build = { version: { major_number: 1, minor_number: 31 } };
    expect(nodeInfo({ user_agent_name: 'envoy', user_agent_build_version: build }).userAgent).toBe('envoy/1.31.0');
  });

  it('is cut short, and anything that is not text is left out', () => {
    expect(nodeInfo({ id: 'x'.repeat(1_000), cluster: 7 })).toEqual({
      id: 'x'.repeat(256),
      cluster: '',
      userAgent: '',
    });
  });
});

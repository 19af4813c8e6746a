import { describe, expect, test } from 'vitest';
import { sessionEndpoint } from '../../../src/client/balancer/affinity.js';
import type { EndpointConfig, HealthStatus } from '../../../src/core/model/endpoint.js';
import { aLiveEndpoint } from '../../support/balancing.js';

const KEY = '10.0.0.1:80';
const one = (more: Partial<EndpointConfig> = {}) => {
  const endpoint = aLiveEndpoint(KEY, more);
  return { endpoint, endpoints: new Map([[KEY, endpoint]]) };
};

describe('the endpoint that a session is bound to (A55)', () => {
  test('is used while it is there', () => {
    const { endpoint, endpoints } = one();
    expect(sessionEndpoint({ affinity: KEY }, endpoints)).toBe(endpoint);
    expect(sessionEndpoint({ affinity: '10.0.0.2:80' }, endpoints)).toBeUndefined();
    expect(sessionEndpoint({}, endpoints)).toBeUndefined();
  });

  test.each<[HealthStatus, boolean, boolean]>([
    ['unknown', true, false],
    ['healthy', true, false],
    ['degraded', true, false],
    ['draining', false, true],
    ['unhealthy', false, true],
  ])('%s: by default %s; with draining and unhealthy ones allowed %s', (health, byDefault, allowed) => {
    const { endpoint, endpoints } = one({ health });
    expect(sessionEndpoint({ affinity: KEY }, endpoints)).toBe(byDefault ? endpoint : undefined);
    expect(sessionEndpoint({ affinity: KEY }, endpoints, ['draining', 'unhealthy'])).toBe(
      allowed ? endpoint : undefined,
    );
    expect(sessionEndpoint({ affinity: KEY }, endpoints, [])).toBeUndefined();
  });

  test('is left when it was tried, is ejected, fails its checks or cannot be reached, whatever its status', () => {
    const { endpoint, endpoints } = one({ health: 'draining' });
    const session = () => sessionEndpoint({ affinity: KEY }, endpoints, ['draining']);
    expect(sessionEndpoint({ affinity: KEY, tried: [KEY] }, endpoints, ['draining'])).toBeUndefined();
    endpoint.health.eject(0);
    expect(session()).toBeUndefined();
    endpoint.health.uneject(0);
    endpoint.health.checked(false, 0);
    expect(session()).toBeUndefined();
    endpoint.health.checked(true, 0);
    expect(session()).toBe(endpoint);
    endpoint.connectFailed(0);
    expect(session()).toBeUndefined();
  });

  test('one that is unhealthy by its status, which is allowed, is left when it is ejected or fails its checks as well', () => {
    const { endpoint, endpoints } = one({ health: 'unhealthy' });
    expect(sessionEndpoint({ affinity: KEY }, endpoints, ['unhealthy'])).toBe(endpoint);
    const session = () => sessionEndpoint({ affinity: KEY }, endpoints, ['unhealthy']);
    endpoint.health.eject(0);
    expect(session()).toBeUndefined();
    endpoint.health.uneject(0);
    endpoint.health.checked(false, 0);
    expect(session()).toBeUndefined();
    endpoint.health.checked('degraded', 0);
    expect(session()).toBe(endpoint);
    endpoint.health.watched(false, 0);
    expect(session()).toBeUndefined();
    endpoint.health.watched(true, 0);
    expect(session()).toBe(endpoint);
  });
});

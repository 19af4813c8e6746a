import { expect, test } from 'vitest';
import { compileText } from '../../../src/controlplane/config.js';
import { RESOURCE_TYPES, type ResourceSet } from '../../../src/core/resources.js';
import { ResourceStore } from '../../../src/xds/resource-store.js';
import { loadCodec } from '../../../src/xds/wire/index.js';
import { settle } from '../../support/fake-clock.js';
import { RecordingWatcher } from '../../support/scripted-cache.js';
import { sourceOn } from '../../support/xds-mesh.js';

const YAML = `
apiVersion: v1
kind: Service
metadata: { name: reviews }
spec:
  ports: [{ port: 80, name: http }]
  endpoints: [{ address: 127.0.0.1:9001, labels: { version: v1 } }, { address: 127.0.0.1:9002, zone: b }]
---
apiVersion: v1
kind: Service
metadata: { name: ratings }
spec: { endpoints: ['127.0.0.1:9003'] }
---
apiVersion: v1
kind: Service
metadata: { name: payments }
spec: { dns: 'payments.example:443', ports: [{ port: 443, appProtocol: https }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: reviews }
spec:
  parentRefs: [{ kind: Service, group: '', name: reviews, port: 80 }]
  rules:
    - name: api
      matches:
        - path: { type: PathPrefix, value: /api }
          headers: [{ name: x-user, value: bob }]
          queryParams: [{ name: a, type: RegularExpression, value: '[0-9]+' }]
      filters:
        - { type: RequestHeaderModifier, requestHeaderModifier: { set: [{ name: x-a, value: '100%' }], remove: [x-b] } }
        - { type: URLRewrite, urlRewrite: { hostname: foo, path: { type: ReplaceFullPath, replaceFullPath: /v2 } } }
      timeouts: { request: 1s, backendRequest: 300ms }
      retry: { attempts: 2, codes: [503], backoff: 50ms }
      backendRefs: [{ name: reviews, port: 80, weight: 90 }, { name: ratings, port: 80, weight: 10 }]
    - retry: { attempts: 0 }
      backendRefs: [{ name: reviews, port: 80 }]
---
apiVersion: inmesh.dev/v1alpha1
kind: TrafficPolicy
metadata: { name: reviews }
spec:
  targetRefs: [{ kind: Service, group: '', name: reviews }]
  loadBalancer: { simple: PEAK_EWMA, decay: 5s, localityLbSetting: { zoneAware: { minClusterSize: 2 } } }
  connectionPool: { maxRequests: 5, high: { maxRequests: 2 }, batchPercent: 20 }
  breaker: { consecutiveFailures: 3 }
  fallback: [{ service: { name: ratings } }, { stale: {} }, { static: { json: { a: 1 }, grpcStatus: UNAVAILABLE } }, { function: { name: f } }]
  retryConstraint: { budget: { percent: 10, interval: 5s }, minRetryRate: { count: 2, interval: 1s } }
---
apiVersion: inmesh.dev/v1alpha1
kind: TrafficPolicy
metadata: { name: ratings }
spec: { targetRefs: [{ name: ratings }], connectionPool: { retryBudget: { percent: 30 } } }
---
apiVersion: inmesh.dev/v1alpha1
kind: RoutePolicy
metadata: { name: reviews }
spec:
  targetRefs: [{ kind: HTTPRoute, name: reviews, sectionName: api }]
  hedge: { delay: 20ms, nonFatalStatuses: [UNAVAILABLE] }
  priority: HIGH
  retry: { on: [5xx], retriableHeaders: [{ name: x-retry, type: Present }], hostSelectionAttempts: 3 }
  requestHeaders: { add: [{ name: x-b, value: "%REQ(x-a)%" }] }
`;

const AUTHORITIES = ['reviews', 'reviews.default.svc.cluster.local:80', 'ratings', 'payments:443', 'nobody'];

/** What each authority is told by a store that holds `set`. */
async function served(set: ResourceSet) {
  const store = new ResourceStore();
  expect(store.update(set)).toEqual([]);
  const { source, names } = sourceOn(store);
  names.set('payments.example', ['10.0.0.1']);
  const watchers = AUTHORITIES.map((authority) => {
    const watcher = new RecordingWatcher();
    source.watch(authority, watcher);
    return watcher;
  });
  await settle();
  await source.close();
  return watchers.map(({ events, configs }) => ({ events, config: configs.at(-1) }));
}

test('what the compiler makes is the same to a client in the process and over the wire', async () => {
  const { problems, resources } = await compileText([{ name: 'mesh.yaml', text: YAML }]);
  expect(problems).toEqual([]);
  const embedded = await served(resources);
  expect(embedded.map(({ events }) => events)).toEqual([['config'], ['config'], ['config'], ['config'], ['unknown']]);
  expect(embedded[0]?.config?.routes[0]).toMatchObject({
    requestHeaders: {
      set: [
        { name: 'x-a', value: '100%%', action: 'overwrite' },
        { name: 'x-b', value: '%REQ(x-a)%', action: 'append' },
      ],
      remove: ['x-b'],
    },
    action: {
      priority: 'high',
      hedge: { maxAttempts: 2, delayMs: 20, nonFatalStatuses: new Set([14]) },
      totalWeight: 100,
      timeoutMs: 1_000,
      retry: { maxRetries: 2, perTryTimeoutMs: 300, baseMs: 50 },
    },
  });
  expect(embedded[0]?.config?.clusters.get('reviews.default:80')).toMatchObject({
    balancer: { kind: 'peak_ewma', decayMs: 5_000 },
    limits: { maxRequests: 5, activeRetryBudget: undefined, high: { maxRequests: 2 }, batchShare: 0.2 },
    locality: { kind: 'zone_aware', minClusterSize: 2 },
    breaker: { consecutiveFailures: 3 },
    fallback: [
      { kind: 'service', cluster: 'ratings.default:80' },
      { kind: 'stale' },
      { kind: 'static', body: new Uint8Array(Buffer.from('{"a":1}')), grpcStatus: 14 },
      { kind: 'function', name: 'f' },
    ],
    retryBudget: { retryRatio: 0.1, minRetriesPerSecond: 2, ttlMs: 5_000 },
    endpoints: [{ labels: { version: 'v1' } }, { locality: { zone: 'b' } }],
  });
  expect(embedded[0]?.config?.clusters.get('ratings.default:80')).toMatchObject({
    limits: { activeRetryBudget: { share: 0.3, minConcurrency: 3 } },
  });
  const codec = await loadCodec();
  const received = Object.fromEntries(
    RESOURCE_TYPES.map((type) => [
      type,
      new Map(
        [...resources[type]].map(([name, resource]) => [
          name,
          codec.decodeResource(type, codec.encodeResource(type, resource)),
        ]),
      ),
    ]),
  ) as unknown as ResourceSet;
  expect(plain(await served(received))).toEqual(plain(embedded));
});

/** Expressions as their source, sets and maps as lists. */
function plain(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_, item) => (item instanceof Set || item instanceof Map ? [...item] : item)),
  );
}

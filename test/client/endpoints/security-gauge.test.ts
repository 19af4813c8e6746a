import { expect, test } from 'vitest';
import { offerSecurity, SECURITY_GAUGE } from '../../../src/client/endpoints/security-gauge.js';
import { noMeter } from '../../../src/core/meter.js';
import { type SanMatch, systemTls, type UpstreamTls } from '../../../src/core/model/tls.js';
import { aCluster } from '../../support/targets.js';

const SHOP = 'spiffe://cluster.local/ns/default/sa/shop';
const REVIEWS = 'spiffe://cluster.local/ns/default/sa/reviews';
const uri = (value: string): SanMatch => ({ type: 'URI', match: { kind: 'exact', value, ignoreCase: false } });
const mutual = (...sans: SanMatch[]): UpstreamTls => ({
  sni: undefined,
  identity: 'default',
  roots: { kind: 'provider', instance: 'default' },
  sans,
});

function offered() {
  const cluster = { config: aCluster('reviews', []) };
  const source: { labels: Record<string, string>; principal: string | undefined } = {
    labels: {},
    principal: undefined,
  };
  const gauges: { name: string; labels: Readonly<Record<string, string>>; read: () => number }[] = [];
  const meter = {
    ...noMeter,
    gauge(name: string, labels: Readonly<Record<string, string>>, read: () => number) {
      gauges.push({ name, labels, read });
      return () => void gauges.pop();
    },
  };
  const stop = offerSecurity(cluster, { meter, source });
  /** As an exporter sees it. */
  const seen = () => ({ ...gauges[0]?.labels, value: gauges[0]?.read() });
  const tls = (of: UpstreamTls | undefined): void => {
    cluster.config = { ...cluster.config, tls: of };
  };
  return { source, gauges, seen, tls, stop };
}

test('who calls whom, and how that is secured, is told with Istio’s labels and values, as it is now', () => {
  const { source, gauges, seen, tls, stop } = offered();
  expect(gauges[0]?.name).toBe(SECURITY_GAUGE);
  // Nothing of it is there: no series.
  expect(seen().value).toBeNaN();
  tls(mutual(uri(REVIEWS)));
  const told = { 'mesh.cluster': 'reviews', destination_principal: REVIEWS, connection_security_policy: 'mutual_tls' };
  expect(seen()).toEqual({ ...told, source_principal: 'unknown', value: 1 });
  source.principal = SHOP;
  expect(seen()).toEqual({ ...told, source_principal: SHOP, value: 1 });
  tls(undefined);
  expect(seen()).toEqual({
    ...{ 'mesh.cluster': 'reviews', source_principal: SHOP, destination_principal: 'unknown' },
    ...{ connection_security_policy: 'none', value: 1 },
  });
  stop();
  expect(gauges).toEqual([]);
});

test.each<readonly [string, UpstreamTls, string, string]>([
  ['servers that may have several names', mutual(uri(REVIEWS), uri(SHOP)), 'mutual_tls', 'unknown'],
  ['servers that may have any name', mutual(), 'mutual_tls', 'unknown'],
  ['servers outside of SPIFFE', mutual(uri('https://example.com')), 'mutual_tls', 'unknown'],
  ['TLS without a certificate of one’s own', systemTls('api.example.com'), 'unknown', 'unknown'],
])('of %s no more is said than is known', (_, config, policy, destination) => {
  const { seen, tls } = offered();
  tls(config);
  expect(seen()).toMatchObject({ connection_security_policy: policy, destination_principal: destination, value: 1 });
});

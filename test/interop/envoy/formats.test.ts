import { beforeAll, describe, expect, test } from 'vitest';
import { COMMANDS, REFUSED } from '../../../src/routing/format/commands.js';
import { formatProblem } from '../../../src/routing/format/format.js';
import { routeResource, routerFilter, toCluster } from '../../support/xds-resources.js';
import { Envoy, envoyBinary } from './envoy.js';
import { staticCluster } from './our-side.js';

/** Tables of one Envoy. */
const AT_ONCE = 20;

/* Which commands of formats a real Envoy takes: ours takes the same, but for those that it refuses on purpose. */

const ARGUMENTS: Readonly<Record<string, string>> = {
  COMMON_DURATION: 'DS_RX_BEG:US_TX_BEG:ms',
  FILTER_STATE: 'a',
  UPSTREAM_FILTER_STATE: 'a',
  DYNAMIC_METADATA: 'a:b',
  CLUSTER_METADATA: 'a:b',
  UPSTREAM_METADATA: 'a:b',
  METADATA: 'ROUTE:a:b',
  PER_REQUEST_STATE: 'a.b',
};
const withArgument = (name: string, argument: string | undefined): string =>
  argument === undefined ? `%${name}%` : `%${name}(${argument})%`;

/** Where the two differ, and why that is as it should be. */
const DIFFER: Readonly<Record<string, string>> = {
  '%REQ_WITHOUT_QUERY(x-a)%': 'Envoy wants an extension for it',
  '%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(129)%': 'no address has so many bits: Envoy finds out with every request',
  '%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(a)%': 'likewise',
};

const formats = [
  ...[...COMMANDS].map(([name, { argument }]) =>
    withArgument(name, ARGUMENTS[name] ?? (argument === 'required' ? 'x-a' : undefined)),
  ),
  ...[...REFUSED.keys()].map((name) => withArgument(name, 'a')),
  '%UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(16)%',
  '%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(129)%',
  '%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(a)%',
  '%QUERY_PARAMS(DECODED)%',
  '%QUERY_PARAMS(OTHER)%',
  '%REQUESTED_SERVER_NAME(HOST_FIRST:ORIG)%',
  '%REQUESTED_SERVER_NAME(FIRST)%',
  '%COALESCE({"operators": ["PROTOCOL", {"command": "REQ", "param": "x-a", "max_length": 3}]})%',
  '%COALESCE({"operators": []})%',
  '%COALESCE({"operators": ["REQ"]})%',
  '%COALESCE({"operators": [1]})%',
  '%COALESCE(PROTOCOL)%',
  '%COALESCE%',
  '%RESPONSE_TRAILER(x)%',
  '%REQUEST_HEADER%',
];

describe.skipIf(envoyBinary === undefined)('a format', () => {
  const refused = new Set<string>();
  beforeAll(async () => {
    // Envoy watches a file for each table, and a machine allows few of those.
    for (let from = 0; from < formats.length; from += AT_ONCE) {
      const some = formats.slice(from, from + AT_ONCE);
      const envoy = await Envoy.start({
        binary: envoyBinary as string,
        routes: some.map((value, i) =>
          routeResource(`r${i}`, [
            { ...toCluster('red'), response_headers_to_add: [{ header: { key: 'x-a', value } }] },
          ]),
        ),
        clusters: [staticCluster('red', [1])],
        filters: [routerFilter],
      });
      for (const name of envoy.refused) refused.add(some[Number(name.slice(1))] as string);
      await envoy.close();
    }
  }, 120_000);

  test.each(formats)('is taken or refused as by Envoy: %s', (format) => {
    const name = /^%([A-Z_0-9]+)/.exec(format)?.[1] ?? '';
    const theirs = refused.has(format) !== format in DIFFER;
    expect(formatProblem(format) !== undefined).toBe(theirs || REFUSED.has(name));
  });
});

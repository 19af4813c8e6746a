import { readFileSync } from 'node:fs';
import { Agent as HttpAgent, request } from 'node:http';
import { Agent as HttpsAgent, request as secureRequest } from 'node:https';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RbacFilter } from '../../../src/core/model/authorization.js';
import { LISTENER, type Resource } from '../../../src/core/resources.js';
import { Authorizer } from '../../../src/identity/authz/authorizer.js';
import type { AuthzRequest } from '../../../src/identity/authz/request.js';
import { Dice, generatedRbac, type GeneratedRequest, generatedRequest } from '../../identity/authz/generate.js';
import { authzRequest, peer } from '../../identity/authz/requests.js';
import { SLIPS, SLIPS_POLICY, type Slip } from '../../identity/authz/slips.js';
import { decoders } from '../../support/decoders.js';
import { compileYaml, serviceYaml } from '../../support/mesh-yaml.js';
import { testCa } from '../../support/pki.js';
import { rawHttp1 } from '../../support/raw-requests.js';
import { serverResource } from '../../support/server-resources.js';
import { any, routeResource, routerFilter } from '../../support/xds-resources.js';
import { Envoy, envoyBinary } from './envoy.js';

/* Envoy's RBAC filter, and our engine with the same rules: request by request the same. */

const RBAC = 'envoy.extensions.filters.http.rbac.v3.RBAC';
const PER_ROUTE = 'envoy.extensions.filters.http.rbac.v3.RBACPerRoute';
const SEED = 20_261_122;
const PLAIN_TABLES = 40;
const SECURE_TABLES = 20;
const REQUESTS = 100;

const ca = testCa();
const CALLERS = {
  x: ca.issue({ name: 'x' }),
  y: ca.issue({ name: 'y', spiffeId: undefined, dns: ['y.example'] }),
  z: ca.issue({ name: 'z', spiffeId: undefined, dns: [], ip: [] }),
};
type Caller = keyof typeof CALLERS;
const PEERS = {
  x: peer({ uriSans: ['spiffe://cluster.local/ns/default/sa/x'], dnsSans: ['x'], subject: 'CN=x' }),
  y: peer({ dnsSans: ['y.example'], subject: 'CN=y' }),
  z: peer({ subject: 'CN=z' }),
};
const WORDS = {
  paths: ['/a', '/a/b', '/b', '/ab/7', '/A'],
  hosts: ['reviews', 'reviews.example', 'REVIEWS', 'other:80'],
  methods: ['GET', 'POST'],
  principals: ['spiffe://cluster.local/ns/default/sa/x', 'y.example', 'CN=z', ''],
  names: ['x-a', 'X-B', 'x-c'],
};

/** One filter as our decoder reads it. */
function decoded(rbac: Resource): RbacFilter {
  const filters = [{ name: 'rbac', typed_config: any(RBAC, rbac) }, routerFilter];
  const listener = decoders[LISTENER](serverResource('l', { http_filters: filters }), 'l');
  if (listener.kind !== 'server') throw new Error('no server');
  const chain = listener.listener.defaultFilterChain ?? listener.listener.filterChains[0];
  return chain?.authorization?.filters[0] as RbacFilter;
}

const decides = (rbac: Resource): ((request: AuthzRequest) => boolean) => {
  const authorizer = new Authorizer([decoded(rbac)], { wallTime: () => 0 }, () => {});
  return (given) => authorizer.decide(given).allowed;
};

const ANSWER = { direct_response: { status: 200 } };

/** The table answers what its own rules let in. */
const table = (name: string, rbac: Resource): Resource =>
  routeResource(name, [
    { match: { prefix: '/' }, ...ANSWER, typed_per_filter_config: { rbac: any(PER_ROUTE, { rbac }) } },
  ]);

const mutualTls = (): Resource => ({
  name: 'tls',
  typed_config: {
    '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext',
    common_tls_context: {
      tls_certificates: [
        {
          certificate_chain: { inline_string: CALLERS.x.chainPem },
          private_key: { inline_string: CALLERS.x.keyPem },
        },
      ],
      validation_context: { trusted_ca: { inline_string: ca.root } },
    },
  },
});

const agents = {
  plain: new HttpAgent({ keepAlive: true, maxSockets: 2 }),
  none: new HttpsAgent({ keepAlive: true, maxSockets: 2, ca: ca.root, servername: '' }),
  ...(Object.fromEntries(
    Object.entries(CALLERS).map(([name, { chainPem, keyPem }]) => [
      name,
      new HttpsAgent({ keepAlive: true, maxSockets: 2, ca: ca.root, cert: chainPem, key: keyPem, servername: '' }),
    ]),
  ) as Record<Caller, HttpsAgent>),
};

function send(
  port: number,
  by: keyof typeof agents,
  { method, path, host, headers }: GeneratedRequest,
): Promise<number> {
  const options = { port, host: '127.0.0.1', method, path, headers: { ...headers, host }, agent: agents[by] };
  return new Promise((resolve, reject) => {
    const start = by === 'plain' ? request : secureRequest;
    const sent = start({ ...options, rejectUnauthorized: false }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode as number));
    });
    sent.on('error', reject);
    sent.end();
  });
}

const dice = new Dice(SEED);
const PLAIN = Array.from({ length: PLAIN_TABLES }, () => generatedRbac(dice, WORDS));
const SECURE = Array.from({ length: SECURE_TABLES }, () => generatedRbac(dice, WORDS));

/** What our compiler makes of the policies of the corpus, for Envoy. */
function slipsFilters(): readonly Resource[] {
  const { resources } = compileYaml(serviceYaml('reviews') + SLIPS_POLICY);
  const listener = JSON.stringify(resources[LISTENER].get('inmesh.dev/inbound/reviews'));
  const manager = JSON.parse(listener)['default_filter_chain'].filters[0].typed_config;
  return manager.http_filters as readonly Resource[];
}

describe.skipIf(envoyBinary === undefined)('beside Envoy', () => {
  let envoy: Envoy;
  let guarded: Envoy;
  beforeAll(async () => {
    const binary = envoyBinary as string;
    const filters = [{ name: 'rbac', typed_config: any(RBAC) }, routerFilter];
    const routes = [
      ...PLAIN.map((rbac, i) => table(`plain${i}`, rbac)),
      ...SECURE.map((rbac, i) => table(`secure${i}`, rbac)),
    ];
    const socket = (name: string) => (name.startsWith('secure') ? mutualTls() : undefined);
    const manager = { use_remote_address: true };
    envoy = await Envoy.start({ binary, routes, clusters: [], filters, manager, socket });
    guarded = await Envoy.start({
      binary,
      routes: [routeResource('slips', [{ match: { prefix: '/' }, ...ANSWER }])],
      clusters: [],
      filters: slipsFilters(),
      manager: {
        ...manager,
        normalize_path: { value: true },
        merge_slashes: true,
        path_with_escaped_slashes_action: 'REJECT_REQUEST',
      },
    });
  }, 120_000);
  afterAll(async () => {
    for (const agent of Object.values(agents)) agent.destroy();
    await envoy?.close();
    await guarded?.close();
  });

  /** All requests to all tables of one kind; those about which we do not agree. */
  async function differences(
    kind: 'plain' | 'secure',
    tables: readonly Resource[],
  ): Promise<{ asked: number; allowed: number; differ: unknown[] }> {
    const differ: unknown[] = [];
    let [asked, allowed] = [0, 0];
    const own = new Dice(SEED + tables.length);
    for (const [i, rbac] of tables.entries()) {
      const port = envoy.ports.get(`${kind}${i}`) as number;
      const decide = decides(rbac);
      for (let n = 0; n < REQUESTS; n++) {
        const planned = generatedRequest(own, WORDS);
        const by = kind === 'plain' ? 'plain' : own.of(['none', 'x', 'y', 'z'] as const);
        const status = await send(port, by, planned);
        const ours = decide(
          authzRequest({
            ...planned,
            judgedPath: planned.path,
            secure: by !== 'plain',
            peerIdentity: by === 'plain' || by === 'none' ? undefined : PEERS[by],
            peerAddress: '127.0.0.1',
            clientAddress: '127.0.0.1',
            localAddress: '127.0.0.1',
            localPort: port,
          }),
        );
        asked++;
        if (status === 200) allowed++;
        if ((status === 200) !== ours || (status !== 200 && status !== 403))
          differ.push({ rbac: JSON.stringify(rbac), planned, by, status, ours });
      }
    }
    return { asked, allowed, differ };
  }

  test(`the same ${PLAIN_TABLES * REQUESTS} requests are let in of ${PLAIN_TABLES} generated RBACs`, async () => {
    const { asked, allowed, differ } = await differences('plain', PLAIN);
    expect(differ.slice(0, 3)).toEqual([]);
    expect(asked).toBe(PLAIN_TABLES * REQUESTS);
    // Neither all nor none: the policies say something.
    expect(allowed / asked).toBeGreaterThan(0.2);
    expect(allowed / asked).toBeLessThan(0.8);
  }, 120_000);

  test(`the same ${SECURE_TABLES * REQUESTS} requests over TLS, by the certificates of their callers`, async () => {
    const { asked, allowed, differ } = await differences('secure', SECURE);
    expect(differ.slice(0, 3)).toEqual([]);
    expect(allowed / asked).toBeGreaterThan(0.2);
    expect(allowed / asked).toBeLessThan(0.8);
  }, 120_000);

  test('of the corpus of slips Envoy lets through what is known here, and we let nothing through', async () => {
    const port = guarded.ports.get('slips') as number;
    const through: string[] = [];
    for (const slip of SLIPS) {
      const status = await rawHttp1(port, slip);
      if (status !== undefined && status < 400) through.push(shown(slip));
    }
    expect(through).toEqual(THROUGH_ENVOY);
  }, 60_000);
});

const shown = ({ why, method = 'GET', target, host = '', headers = [] }: Slip): string =>
  [why, method, JSON.stringify(target), host, ...headers.map((header) => header.join(': '))]
    .filter((part) => part !== '')
    .join(' | ');

const THROUGH_ENVOY = JSON.parse(
  readFileSync(new URL('./slips-through-envoy.json', import.meta.url), 'utf8'),
) as string[];

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { createServer, get, type IncomingMessage, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { silentLogger } from '../../../src/core/log.js';
import { type Mesh, meshClient } from '../../../src/index.js';
import { startProxy } from '../../../src/proxy/index.js';
import { serviceYaml } from '../../support/mesh-yaml.js';

const opened: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

/** On 127.0.0.1; other addresses of the loopback network lead there as well. */
async function outside(
  answer: RequestListener = (request, response) => response.end(`hello ${request.headers.host}`),
): Promise<number> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve));
  opened.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** fetch does not send a Host of one's own. */
async function statusThrough(port: number, host: string): Promise<number | undefined> {
  const [response] = (await once(get({ host: '127.0.0.1', port, headers: { host }, agent: false }), 'response')) as [
    IncomingMessage,
  ];
  response.resume();
  return response.statusCode;
}

type Names = Record<string, readonly string[]>;

async function meshOf(
  yaml: string,
  names: Names = {},
): Promise<{ mesh: Mesh; looked: string[]; edit(yaml: string): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'inmesh-egress-'));
  const file = join(folder, 'mesh.yaml');
  await writeFile(file, yaml);
  const looked: string[] = [];
  const mesh = meshClient({
    config: file,
    logger: silentLogger,
    resolve: async (host) => {
      looked.push(host);
      const found = names[host];
      if (found === undefined) throw new Error(`ENOTFOUND ${host}`);
      return found;
    },
  });
  opened.push(
    () => rm(folder, { recursive: true }),
    () => mesh.close(),
  );
  await mesh.ready();
  return { mesh, looked, edit: (text) => writeFile(file, text) };
}

const meshConfig = (egress: string): string => `---
apiVersion: inmesh.dev/v1alpha1
kind: MeshConfig
metadata: { name: mesh }
spec: { egress: { ${egress} } }
`;

const entry = (name: string, spec: string): string => `---
apiVersion: inmesh.dev/v1alpha1
kind: ServiceEntry
metadata: { name: ${name} }
spec: { ${spec} }
`;

const outcome = (mesh: Mesh, url: string, init?: Parameters<Mesh['fetch']>[1]): Promise<string> =>
  mesh.fetch(url, init).then(
    (reply) => reply.text(),
    (error: { code?: string; cause?: { code?: string } }) => error.code ?? error.cause?.code ?? String(error),
  );

describe('default deny', () => {
  test('lets calls leave to Services, to registered hosts and to what is allowed, and to nothing else', async () => {
    const port = await outside();
    const { mesh, looked } = await meshOf(
      serviceYaml('orders', `endpoints: ["127.0.0.1:${port}"]`) +
        entry('api', `hosts: [api.example.com], ports: [{ number: 80, targetPort: ${port} }], resolution: DNS`) +
        entry('wild', `hosts: ["*.wild.example"], resolution: NONE`) +
        meshConfig(`default: deny, allow: [{ hosts: ["*.allowed.example"], ports: [${port}] }]`),
      {
        'api.example.com': ['127.0.0.1'],
        'a.wild.example': ['127.0.0.1'],
        'a.allowed.example': ['127.0.0.1'],
        'evil.example': ['127.0.0.1'],
      },
    );
    expect(await outcome(mesh, 'http://orders/')).toBe('hello orders');
    expect(await outcome(mesh, 'http://api.example.com/')).toBe('hello api.example.com');
    expect(await outcome(mesh, `http://a.wild.example:${port}/`)).toBe(`hello a.wild.example:${port}`);
    expect(await outcome(mesh, `http://a.allowed.example:${port}/`)).toBe(`hello a.allowed.example:${port}`);
    expect(await outcome(mesh, 'http://a.allowed.example:81/')).toBe('EGRESS_DENIED');
    expect(await outcome(mesh, `http://allowed.example:${port}/`)).toBe('EGRESS_DENIED');
    expect(await outcome(mesh, `http://evil.example:${port}/`)).toBe('EGRESS_DENIED');
    expect(await outcome(mesh, `http://127.0.0.1:${port}/`)).toBe('EGRESS_DENIED');
    expect(await outcome(mesh, `http://[::1]:${port}/`)).toBe('EGRESS_DENIED');
    // What may not be called is not looked up either.
    expect(looked).not.toContain('evil.example');
  });

  test('allows by the address that is connected to, whatever the name', async () => {
    const port = await outside();
    const names: Names = {
      'in.example': ['127.0.0.2'],
      'out.example': ['127.1.0.1'],
      'both.example': ['127.1.0.1', '127.0.0.3'],
    };
    const { mesh } = await meshOf(meshConfig('default: deny, allow: [{ cidrs: ["127.0.0.0/16"] }]'), names);
    expect(await outcome(mesh, `http://in.example:${port}/`)).toBe(`hello in.example:${port}`);
    expect(await outcome(mesh, `http://out.example:${port}/`)).toBe('EGRESS_DENIED');
    expect(await outcome(mesh, `http://both.example:${port}/`)).toBe(`hello both.example:${port}`);
    expect(await outcome(mesh, `http://127.0.0.9:${port}/`)).toBe(`hello 127.0.0.9:${port}`);
    expect(await outcome(mesh, `http://127.1.0.9:${port}/`)).toBe('EGRESS_DENIED');
    expect(await outcome(mesh, `http://[::ffff:127.1.0.9]:${port}/`)).toBe('EGRESS_DENIED');
  });

  test('holds for redirects', async () => {
    const port = await outside();
    const from = await outside((_, response) =>
      response.writeHead(302, { location: `http://evil.example:${port}/` }).end(),
    );
    const { mesh } = await meshOf(
      serviceYaml('orders', `endpoints: ["127.0.0.1:${from}"]`) + meshConfig('default: deny'),
      { 'evil.example': ['127.0.0.1'] },
    );
    expect(await outcome(mesh, 'http://orders/')).toBe('EGRESS_DENIED');
  });

  test('holds for what comes through a proxy', async () => {
    const port = await outside();
    const { mesh } = await meshOf(meshConfig('default: deny'), { 'evil.example': ['127.0.0.1'] });
    const proxy = await startProxy({ service: mesh.service, listen: '127.0.0.1:0' });
    opened.push(() => proxy.close());
    expect(await statusThrough(proxy.port, `evil.example:${port}`)).toBe(403);
  });

  test('is taken over while calls are made, and given up again', async () => {
    const port = await outside();
    const { mesh, edit } = await meshOf(meshConfig('default: allow'), { 'a.example': ['127.0.0.1'] });
    const url = `http://a.example:${port}/`;
    expect(await outcome(mesh, url)).toContain('hello');
    await edit(meshConfig('default: deny'));
    await expect.poll(() => outcome(mesh, url), { timeout: 10_000 }).toBe('EGRESS_DENIED');
    await edit(meshConfig('default: allow'));
    await expect.poll(() => outcome(mesh, url), { timeout: 10_000 }).toContain('hello');
  });
});

describe('deny', () => {
  test('goes before everything: addresses that no name may lead to, not that of a Service either', async () => {
    const port = await outside();
    const { mesh } = await meshOf(
      serviceYaml('orders', `endpoints: ["127.0.0.5:${port}", "127.9.9.9:${port}"]`) +
        serviceYaml('metadata', `endpoints: ["127.9.9.9:${port}"]`) +
        entry('api', `hosts: [api.example.com], ports: [{ number: 80, targetPort: ${port} }], resolution: DNS`) +
        meshConfig('deny: [{ cidrs: ["127.9.0.0/16"] }], allow: [{ hosts: ["*"] }]'),
      { 'rebound.example': ['127.9.9.9'], 'api.example.com': ['127.9.9.9'] },
    );
    expect(await outcome(mesh, `http://rebound.example:${port}/`)).toBe('EGRESS_DENIED');
    expect(await outcome(mesh, `http://127.9.9.9:${port}/`)).toBe('EGRESS_DENIED');
    expect(await outcome(mesh, 'http://metadata/')).toBe('EGRESS_DENIED');
    expect(await outcome(mesh, 'http://api.example.com/')).toBe('EGRESS_DENIED');
    for (let i = 0; i < 10; i++) expect(await outcome(mesh, 'http://orders/')).toBe('hello orders');
  });

  test.each([
    [
      'hosts: [b.example.com, orders]',
      { orders: false, 'a.example.com': true, 'b.example.com': false, 'c.example.com': true },
    ],
    ['hosts: [c.example.com]', { orders: true, 'a.example.com': true, 'c.example.com': false }],
    ['ports: [80]', { orders: false, 'a.example.com': false, 'c.example.com': false }],
    ['hosts: [b.example.com], cidrs: ["127.0.0.0/8"]', { 'a.example.com': true, 'b.example.com': false }],
    ['hosts: [b.example.com], ports: [1]', { 'a.example.com': true, 'b.example.com': true }],
    ['hosts: [orders]', { 'orders.default': false, 'orders.default.svc.cluster.local': false, 'a.example.com': true }],
  ])('of %s holds for what Services and ServiceEntries name, as it is called', async (rule, expected) => {
    const port = await outside();
    const { mesh } = await meshOf(
      serviceYaml('orders', `endpoints: ["127.0.0.1:${port}"]`) +
        entry(
          'two',
          `hosts: [a.example.com, b.example.com], ports: [{ number: 80, targetPort: ${port} }], resolution: STATIC, endpoints: [{ address: 127.0.0.1 }]`,
        ) +
        entry('dns', `hosts: [c.example.com], ports: [{ number: 80, targetPort: ${port} }], resolution: DNS`) +
        meshConfig(`deny: [{ ${rule} }]`),
      { 'c.example.com': ['127.0.0.1'] },
    );
    // Twice: what is refused under one name leaves the cluster to the others.
    for (const _ of [1, 2])
      for (const [host, may] of Object.entries(expected))
        expect([host, await outcome(mesh, `http://${host}/`)]).toEqual([host, may ? `hello ${host}` : 'EGRESS_DENIED']);
  });

  test('by host and port', async () => {
    const port = await outside();
    const { mesh } = await meshOf(meshConfig(`deny: [{ hosts: ["*.bad.example", bad.example], ports: [${port}] }]`), {
      'a.bad.example': ['127.0.0.1'],
      'bad.example.com': ['127.0.0.1'],
    });
    expect(await outcome(mesh, `http://a.bad.example:${port}/`)).toBe('EGRESS_DENIED');
    expect(await outcome(mesh, `http://A.BAD.example:${port}/`)).toBe('EGRESS_DENIED');
    expect(await outcome(mesh, `http://bad.example.:${port}/`)).toBe('EGRESS_DENIED');
    expect(await outcome(mesh, `http://bad.example.com:${port}/`)).toContain('hello');
  });
});

describe('a ServiceEntry', () => {
  test('has the policies of a Service: retries, limits, weights of a route', async () => {
    let calls = 0;
    const flaky = await outside((_, response) =>
      response.writeHead(++calls % 2 === 1 ? 503 : 200).end(`call ${calls}`),
    );
    const other = await outside((_, response) => void response.end('other'));
    const { mesh } = await meshOf(
      entry(
        'api',
        `hosts: [api.example.com, api2.example.com], ports: [{ number: 80, protocol: HTTP }], resolution: STATIC, endpoints: [{ address: 127.0.0.1, ports: {} }]`,
      )
        .replace('ports: {} ', `ports: { http: ${flaky} } `)
        .replace('number: 80,', 'number: 80, name: http,') +
        serviceYaml('other', `endpoints: ["127.0.0.1:${other}"]`) +
        `---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: api }
spec:
  parentRefs: [{ group: "", kind: Service, name: api }]
  rules:
    - { matches: [{ path: { type: PathPrefix, value: /moved } }], backendRefs: [{ name: other, port: 80 }] }
    - { retry: { attempts: 1, codes: [503] }, backendRefs: [{ name: api, port: 80 }] }
---
apiVersion: inmesh.dev/v1alpha1
kind: RateLimitPolicy
metadata: { name: api }
spec: { targetRefs: [{ group: "", kind: Service, name: api }], limits: [{ name: all, limit: { requests: 3, per: 1h } }] }
`,
    );
    expect(await outcome(mesh, 'http://api.example.com/')).toBe('call 2');
    expect(await outcome(mesh, 'http://api2.example.com/')).toBe('call 4');
    expect(await outcome(mesh, 'http://api.example.com/moved')).toBe('other');
    expect(await outcome(mesh, 'http://api.example.com/')).toBe('RATE_LIMITED');
  });

  test.each([
    [
      'a wildcard with endpoints',
      'hosts: ["*.a.example"], resolution: STATIC, endpoints: [{ address: 10.0.0.1 }]',
      'resolution: NONE',
    ],
    ['no endpoints', 'hosts: [a.example], resolution: STATIC', 'needs them'],
    [
      'a name in place of an address',
      'hosts: [a.example], resolution: STATIC, endpoints: [{ address: b.example }]',
      'must be an IP address',
    ],
    [
      'two hosts that would be looked up',
      'hosts: [a.example, b.example], resolution: DNS',
      'write a ServiceEntry for each',
    ],
    ['the name of a Service', 'hosts: [orders.default.svc], resolution: DNS', 'is a name of Service "orders"'],
  ])('with %s is refused', async (_, spec, message) => {
    const { compileText } = await import('../../../src/controlplane/config.js');
    const { problems } = compileText([{ name: 'mesh.yaml', text: serviceYaml('orders') + entry('api', spec) }]);
    expect(problems.map((problem) => problem.message).join('\n')).toContain(message);
  });
});

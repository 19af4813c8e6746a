import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Io } from '../../src/cli/io.js';
import { run } from '../../src/cli/program.js';
import { silentLogger } from '../../src/core/log.js';
import { VERSION } from '../../src/core/version.js';
import { Cleanup, deferred, get, listening } from '../proxy/support.js';
import { RlsClient, requestOf } from '../controlplane/ratelimit/support.js';
import { httpRouteYaml } from '../support/mesh-yaml.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'inmesh-cli-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const file = (name: string, text: string): string => {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
};

/** A command that runs here, with its output and a way to stop it. */
function start(...args: string[]) {
  const stopped = deferred<void>();
  const printed = { out: '', err: '' };
  const first = deferred<string>();
  const io: Io = {
    out: (text) => {
      printed.out += text;
      first.resolve(text);
    },
    err: (text) => {
      printed.err += text;
    },
    logger: () => silentLogger,
    stopped: () => stopped.promise,
  };
  const code = run(args, io);
  cleanup.add(code, async () => {
    stopped.resolve();
    await code;
  });
  return { printed, code, stop: () => stopped.resolve(), first: first.promise };
}

const startPlane = (config: string) =>
  start('controlplane', '--config', config, '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0', '-o', 'json');

const service = (endpoints: string): string => `apiVersion: v1
kind: Service
metadata:
  name: reviews
spec:
  endpoints: [${endpoints}]
`;
const BROKEN = service('127.0.0.1:1').replace('endpoints', 'endpints');

describe('arguments', () => {
  test.each([
    [['--version'], 0],
    [['--help'], 0],
    [['proxy', '--help'], 0],
    [[], 2],
    [['prox'], 2],
    [['analyze'], 2],
    [['controlplane'], 2],
    [['controlplane', '--config', 'x', '--listen', 'nowhere'], 2],
    [['controlplane', '--config', 'x', '--listen', '127.0.0.1:99999'], 2],
    [['proxy', '--config', 'x', '--xds', '127.0.0.1:1'], 2],
    [['proxy', '--unknown-hosts', 'ask'], 2],
    [['proxy', '--drain', '-1'], 2],
    [['proxy', '--wat'], 2],
    [['proxy', '--shed', 'tcp'], 2],
    [['proxy', '--shed-max', '0'], 2],
    [['proxy', '--trusted-hops', '17'], 2],
    [['proxy', '--reserve', '1.5'], 2],
    [['analyze', '-o', 'xml', 'x'], 2],
    [['analyze', '--failure-threshold', 'info', 'x'], 2],
  ])('%j ends with exit code %i', async (args, code) => {
    const command = start(...args);
    expect(await command.code).toBe(code);
    expect(code === 0 ? command.printed.out : command.printed.err).not.toBe('');
  });

  test('a wrong command is told the nearest one', async () => {
    const command = start('analyse', 'x');
    expect(await command.code).toBe(2);
    expect(command.printed.err).toContain('Did you mean analyze?');
  });

  test('the version is that of the package', async () => {
    const command = start('-V');
    await command.code;
    expect(command.printed.out).toBe(`${VERSION}\n`);
  });
});

describe('inmesh analyze', () => {
  test('prints every mistake of every file with its place, and fails', async () => {
    const one = file('one.yaml', BROKEN);
    const two = file('two.yaml', `${BROKEN.replace('name: reviews', 'nam: ratings')}`);
    const command = start('analyze', one, two);
    expect(await command.code).toBe(1);
    const lines = command.printed.out.trim().split('\n');
    expect(lines.length).toBeGreaterThanOrEqual(3);
    expect(lines[0]).toBe(`${one}:6:3 Service/reviews spec.endpints: unknown field; did you mean "endpoints"?`);
    expect(lines.some((line) => line.startsWith(`${two}:4:3 `))).toBe(true);
    expect(command.printed.err).toMatch(/^\d+ problems, 0 warnings\n$/);
  });

  test('says nothing on standard output when all is well', async () => {
    const command = start('analyze', file('good.yaml', service('127.0.0.1:1')));
    expect(await command.code).toBe(0);
    expect(command.printed).toEqual({ out: '', err: '0 problems, 0 warnings\n' });
  });

  test('prints warnings with their places, and fails for them only where that is asked for', async () => {
    const rules = '[{ backendRefs: [{ name: ratings, namespace: prod }] }]';
    const path = file('warning.yaml', service('127.0.0.1:1') + httpRouteYaml('r', 'name: reviews', rules));
    const command = start('analyze', path);
    expect(await command.code).toBe(0);
    const [line, ...others] = command.printed.out.trimEnd().split('\n');
    expect(others).toEqual([]);
    expect(line).toMatch(
      /^warning: .*warning\.yaml:\d+:\d+ HTTPRoute\/r spec\.rules\[0\]\.backendRefs\[0\]\.namespace: /,
    );
    expect(line).toContain('write a ReferenceGrant in namespace "prod"');
    expect(command.printed.err).toBe('0 problems, 1 warning\n');
    expect(await start('analyze', '--failure-threshold', 'warn', path).code).toBe(1);
  });

  test('prints JSON for programs', async () => {
    const path = file('json.yaml', BROKEN);
    const command = start('analyze', '-o', 'json', path);
    expect(await command.code).toBe(1);
    const { problems, warnings } = JSON.parse(command.printed.out);
    expect(problems[0]).toMatchObject({
      file: path,
      line: 6,
      column: 3,
      resource: 'Service/reviews',
      path: 'spec.endpints',
      nearest: 'endpoints',
    });
    expect(warnings).toEqual([]);
    expect(command.printed.err).toBe('');
  });

  test('fails for a file that is not there', async () => {
    const command = start('analyze', join(folder, 'missing.yaml'));
    expect(await command.code).toBe(1);
    expect(command.printed.out).toContain('missing.yaml');
  });
});

describe('inmesh controlplane and inmesh proxy', () => {
  const upstream = async (): Promise<number> => {
    const { port } = await listening(
      cleanup,
      http.createServer((request, response) => response.end(`reviews got ${request.headers.host}${request.url}`)),
    );
    return port;
  };

  test('the proxy routes by files, until it is stopped', async () => {
    const config = file('proxy.yaml', service(`127.0.0.1:${await upstream()}`));
    const command = start('proxy', '--config', config, '--listen', '127.0.0.1:0', '-o', 'json');
    const { url } = JSON.parse(await command.first);
    const port = Number(new URL(url).port);
    const answer = await get(port, { path: '/1', headers: { host: 'reviews' } });
    expect(answer).toMatchObject({ status: 200, text: 'reviews got reviews/1' });
    command.stop();
    expect(await command.code).toBe(0);
    await expect(get(port, { headers: { host: 'reviews' } })).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  test('the proxy believes clients how important they are with --trust-priority only, and keeps the time of --reserve', async () => {
    const { port } = await listening(
      cleanup,
      http.createServer(({ headers }, response) =>
        response.end(`${headers['inmesh-priority']} ${headers['inmesh-timeout-ms']}`),
      ),
    );
    const config = file('trust.yaml', service(`127.0.0.1:${port}`));
    const heard = async (...flags: string[]): Promise<string> => {
      const command = start('proxy', '--config', config, '--listen', '127.0.0.1:0', '-o', 'json', ...flags);
      const { url } = JSON.parse(await command.first);
      const headers = { host: 'reviews', 'inmesh-priority': 'high', 'inmesh-timeout-ms': '60000' };
      return (await get(Number(new URL(url).port), { headers })).text;
    };
    expect(await heard()).toMatch(/^undefined 59/);
    const [priority, leftMs] = (await heard('--trust-priority', '--reserve', '50000')).split(' ');
    expect(priority).toBe('high');
    expect(Number(leftMs)).toBeLessThanOrEqual(10_000);
  });

  test('the proxy sheds with --shed, and shows its limit', async () => {
    const arrived = deferred<void>();
    const { port } = await listening(
      cleanup,
      http.createServer(() => arrived.resolve()),
    );
    const config = file('shed.yaml', service(`127.0.0.1:${port}`));
    const listen = ['--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0'];
    const shed = ['--shed', 'vegas', '--shed-max', '1', '--shed-lag', '0', '--drain', '0'];
    const command = start('proxy', '--config', config, ...listen, '-o', 'json', ...shed);
    const { url, admin } = JSON.parse(await command.first);
    const ask = () => get(Number(new URL(url).port), { headers: { host: 'reviews' } });
    const first = ask();
    first.catch(() => {});
    await arrived.promise;
    expect((await ask()).status).toBe(503);
    const metrics = await get(Number(new URL(admin).port), { path: '/metrics' });
    expect(metrics.text).toMatch(/mesh_server_concurrency_limit\{mesh_limiter="proxy"\} 1/);
    expect(metrics.text).toMatch(/mesh_server_shed_total\{[^}]*\} 1/);
  });

  test('the proxy routes by what the control plane serves', async () => {
    const config = file('served.yaml', service(`127.0.0.1:${await upstream()}`));
    const plane = startPlane(config);
    const { xds, admin, ready } = JSON.parse(await plane.first);
    expect(ready).toBe(true);
    expect((await get(Number(new URL(admin).port), { path: '/ready' })).status).toBe(200);
    const proxy = start('proxy', '--xds', xds, '--listen', '127.0.0.1:0', '-o', 'json');
    const { url } = JSON.parse(await proxy.first);
    const answer = await get(Number(new URL(url).port), { path: '/2', headers: { host: 'reviews' } });
    expect(answer).toMatchObject({ status: 200, text: 'reviews got reviews/2' });
    proxy.stop();
    expect(await proxy.code).toBe(0);
    plane.stop();
    expect(await plane.code).toBe(0);
  });

  test('the proxy shows its metrics, its clusters and its configuration on admin pages of their own', async () => {
    const config = file('pages.yaml', service(`127.0.0.1:${await upstream()}`));
    const listen = ['--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0'];
    const command = start('proxy', '--config', config, ...listen, '-o', 'json');
    const { url, admin } = JSON.parse(await command.first);
    const page = async (path: string) => get(Number(new URL(admin).port), { path });
    await get(Number(new URL(url).port), { headers: { host: 'reviews' } });
    expect((await page('/ready')).status).toBe(200);
    const { pages } = JSON.parse((await page('/')).text);
    expect(Object.keys(pages)).toEqual(['/ready', '/live', '/metrics', '/stats', '/clusters', '/config_dump']);
    for (const path of Object.keys(pages)) expect([path, (await page(path)).status]).toEqual([path, 200]);
    const metrics = await page('/metrics');
    expect(metrics.headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(metrics.text).toMatch(/^# TYPE /m);
    expect(JSON.parse((await page('/clusters')).text).clusters[0].endpoints).toHaveLength(1);
    expect(JSON.parse((await page('/config_dump')).text).targets[0].authority).toBe('reviews');
    command.stop();
    expect(await command.code).toBe(0);
    await expect(page('/live')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  test('the proxy is not ready before its first configuration', async () => {
    const nobody = http.createServer();
    const { port } = await listening(cleanup, nobody);
    const command = start(
      'proxy',
      '--xds',
      `127.0.0.1:${port}`,
      '--listen',
      '127.0.0.1:0',
      '--admin',
      '127.0.0.1:0',
      '-o',
      'json',
    );
    const { admin } = JSON.parse(await command.first);
    expect((await get(Number(new URL(admin).port), { path: '/ready' })).status).toBe(503);
  });

  test('the proxy ends when its configuration cannot be used', async () => {
    const command = start('proxy', '--config', file('broken.yaml', BROKEN), '--listen', '127.0.0.1:0');
    expect(await command.code).toBe(1);
    expect(command.printed.err).toContain('spec.endpints: unknown field');
  });

  test('the control plane waits for a broken configuration to be mended', async () => {
    const config = file('mended.yaml', BROKEN);
    const plane = startPlane(config);
    const { admin, ready } = JSON.parse(await plane.first);
    expect(ready).toBe(false);
    const port = Number(new URL(admin).port);
    expect((await get(port, { path: '/ready' })).status).toBe(503);
    writeFileSync(config, service('127.0.0.1:1'));
    while ((await get(port, { path: '/ready' })).status !== 200);
    plane.stop();
    expect(await plane.code).toBe(0);
  });

  test('the control plane serves rate limits by files of envoyproxy/ratelimit, with configuration or without', async () => {
    const limits = file(
      'limits.yaml',
      '{ domain: edge, descriptors: [{ key: user, rate_limit: { unit: day, requests_per_unit: 0 } }] }',
    );
    const listen = ['--listen', '127.0.0.1:0'];
    const alone = start('controlplane', '--rate-limits', limits, ...listen);
    expect(await alone.first).toMatch(/^control plane: rate limits on 127\.0\.0\.1:\d+\n$/);
    alone.stop();
    expect(await alone.code).toBe(0);
    const config = file('beside.yaml', service('127.0.0.1:1'));
    const both = start('controlplane', '--config', config, '--rate-limits', limits, ...listen, '-o', 'json');
    const { xds, ready } = JSON.parse(await both.first);
    expect(ready).toBe(true);
    const client = new RlsClient(Number(xds.split(':')[1]));
    cleanup.add(client, () => client.close());
    expect((await client.ask(requestOf('edge', 'user=ann'))).overallCode).toBe(2);
    both.stop();
    expect(await both.code).toBe(0);
  });

  test('the control plane waits for broken rate limits to be mended', async () => {
    const limits = file('broken-limits.yaml', 'domain: ""');
    const command = start('controlplane', '--rate-limits', limits, '--listen', '127.0.0.1:0');
    await command.first;
    command.stop();
    expect(await command.code).toBe(0);
    expect(command.printed.err).toContain('the configuration has mistakes');
  });

  test.each(['controlplane', 'proxy'])('%s fails when its port is taken', async (name) => {
    const { port } = await listening(cleanup, http.createServer());
    const config = file('taken.yaml', service('127.0.0.1:1'));
    const command = start(name, '--config', config, '--listen', `127.0.0.1:${port}`);
    expect(await command.code).toBe(1);
    expect(command.printed.err).toContain(String(port));
  });

  test('the control plane fails for a path that is not there', async () => {
    const command = start('controlplane', '--config', join(folder, 'missing'));
    expect(await command.code).toBe(1);
    expect(command.printed.err).toContain('--config');
    expect(command.printed.err).toContain('missing cannot be read');
    const limits = start('controlplane', '--rate-limits', join(folder, 'missing'));
    expect(await limits.code).toBe(1);
    expect(limits.printed.err).toContain('--rate-limits');
  });
});

import { describe, expect, test } from 'vitest';
import type { LoadRecorder } from '../../../src/core/load-reports.js';
import { headerFields } from '../../../src/core/headers.js';
import type { ClusterConfig, LoadReportConfig } from '../../../src/core/model/cluster.js';
import type { BackendMetrics } from '../../../src/core/orca.js';
import type { Reply } from '../../../src/core/reply.js';
import { ConnectionLostError } from '../../../src/client/transport/errors.js';
import { aReply, OpenReply } from '../../support/calls.js';
import { failoverClient, once } from '../../support/failover.js';
import { anEndpoint } from '../../support/endpoints.js';
import { aCluster, aTarget } from '../../support/targets.js';

const asked: LoadReportConfig = { server: 'plane', metrics: ['cpu_utilization'] };

/** Writes down what it is told. */
function recorder(wantsMetrics = true) {
  const log: string[] = [];
  const metrics: BackendMetrics[] = [];
  let open = 0;
  const loads: LoadRecorder = {
    cluster(cluster, service, { server }) {
      open++;
      log.push(`open ${cluster}/${service ?? '-'} for ${server}`);
      return {
        locality: ({ zone }) => ({
          wantsMetrics,
          started: () => log.push(`started ${zone}`),
          finished(succeeded, seen) {
            log.push(`${succeeded ? 'succeeded' : 'failed'} ${zone}`);
            if (seen !== undefined) metrics.push(seen);
          },
          unsent: () => log.push(`unsent ${zone}`),
        }),
        dropped: (category) => log.push(`dropped ${category ?? 'by a limit'}`),
        release() {
          open--;
          log.push('released');
        },
      };
    },
  };
  return { loads, log, metrics, open: () => open };
}

function setup(cluster: Partial<ClusterConfig>, answer: () => Reply | Promise<Reply> = () => aReply(), wants = true) {
  const told = recorder(wants);
  const client = failoverClient({ env: { loads: told.loads }, answer });
  const locality = { region: 'r', zone: 'z1', subZone: '' };
  const base = aCluster('reviews', [], {
    endpoints: [anEndpoint('10.0.0.1:80', { locality })],
    edsServiceName: 'svc',
    loadReports: asked,
    ...cluster,
  });
  const use = (more: Partial<ClusterConfig> = {}): void =>
    client.source.of('reviews').changed(aTarget([once()], [{ ...base, ...more }]));
  const begin = (init: Parameters<typeof client.call>[0] = {}): Promise<Reply> => {
    const first = client.call(init);
    use();
    return first;
  };
  return { ...client, ...told, use, begin };
}

const trailers = (fields: Record<string, string>) => ({ trailers: headerFields(fields) });

describe('A27: load that a control plane asks for', () => {
  test('each call is counted where it went: under way, then as what it was', async () => {
    const open = new OpenReply();
    const { begin, log } = setup({}, () => open);
    await begin();
    expect(log).toEqual(['open reviews/svc for plane', 'started z1']);
    open.finish();
    expect(log.slice(2)).toEqual(['succeeded z1']);
  });

  test('a gRPC call succeeded when its status is OK and not else, whatever that says of the server', async () => {
    const statuses = ['0', '5', '14'];
    const { begin, call, log } = setup({}, () =>
      aReply(200, {}, trailers({ 'grpc-status': statuses.shift() ?? 'none' })),
    );
    const init = { protocol: 'grpc', method: 'POST' } as const;
    await begin(init);
    await call(init);
    await call(init);
    await call(init);
    expect(log.filter((line) => line.includes('ed z1') && !line.startsWith('started'))).toEqual([
      'succeeded z1',
      'failed z1',
      'failed z1',
      'failed z1',
    ]);
  });

  test('an HTTP call failed by 5xx, and by having no reply', async () => {
    const answers = [aReply(503), new ConnectionLostError('10.0.0.1:80', 'gone', 'maybe')];
    const { begin, call, log } = setup({}, () => {
      const answer = answers.shift();
      if (answer === undefined || answer instanceof Error) throw answer;
      return answer;
    });
    await begin();
    await call().catch(() => {});
    expect(log.slice(1)).toEqual(['started z1', 'failed z1', 'started z1', 'failed z1']);
  });

  test('a call that never left is none of the endpoint that could not be had: gRPC would not have picked it', async () => {
    const locality = { region: 'r', zone: 'z1', subZone: '' };
    const endpoints = ['10.0.0.1:80', '10.0.0.2:80'].map((at) => anEndpoint(at, { locality }));
    const { begin, call, log, down } = setup({ endpoints, balancer: { kind: 'round_robin' } });
    down.add('10.0.0.1:80');
    await begin();
    await call();
    const finished = log.slice(1).filter((line) => !line.startsWith('started'));
    expect(finished.sort()).toEqual(['succeeded z1', 'succeeded z1', 'unsent z1']);
  });

  test('drops are told by category, and those of a circuit breaker without one (A32)', async () => {
    const { begin, log } = setup({ drops: [{ category: 'lb', share: 1 }] });
    await begin().catch(() => {});
    expect(log.slice(1)).toEqual(['dropped lb']);
    const open = new OpenReply();
    const limits = { maxConnections: 1, maxPendingRequests: 1, maxRequests: 1, maxRetries: undefined };
    const full = setup({ limits }, () => open);
    await full.begin();
    await expect(full.call()).rejects.toMatchObject({ code: 'CIRCUIT_OPEN' });
    expect(full.log.slice(1)).toEqual(['started z1', 'dropped by a limit']);
    open.finish();
  });

  test('nothing is counted where nobody asks; asking and no longer asking takes effect at once', async () => {
    const { begin, call, use, log, open } = setup({});
    const first = begin();
    use({ loadReports: undefined });
    await first;
    log.length = 0;
    await call();
    expect(log).toEqual([]);
    expect(open()).toBe(0);
    use();
    await call();
    expect(log).toEqual(['open reviews/svc for plane', 'started z1', 'succeeded z1']);
  });

  test('another EDS service is another account; the old one is given back', async () => {
    const { begin, call, use, log, open } = setup({});
    await begin();
    use({ edsServiceName: 'other' });
    await call();
    expect(log.slice(3)).toEqual(['open reviews/other for plane', 'released', 'started z1', 'succeeded z1']);
    expect(open()).toBe(1);
  });

  test('a call under way when the account changes is counted to its end where it began', async () => {
    const reply = new OpenReply();
    const { begin, use, log } = setup({}, () => reply);
    await begin();
    use({ loadReports: undefined });
    reply.finish();
    expect(log).toEqual(['open reviews/svc for plane', 'started z1', 'released', 'succeeded z1']);
  });

  test('the account is given back with the cluster, and when the mesh is closed', async () => {
    const dropped = setup({});
    await dropped.begin();
    dropped.source.of('reviews').changed(aTarget([], []));
    expect(dropped.open()).toBe(0);
    const closed = setup({});
    await closed.begin();
    await closed.destinations.close();
    expect(closed.open()).toBe(0);
  });

  test('A64, A85: what the backend says of itself comes with the end of the reply, from trailers or headers, when it is wanted', async () => {
    const text = 'TEXT cpu_utilization:0.5';
    const byTrailer = setup({}, () => aReply(200, {}, trailers({ 'endpoint-load-metrics': text })));
    await byTrailer.begin();
    expect(byTrailer.metrics).toMatchObject([{ cpuUtilization: 0.5 }]);
    const byHeader = setup({}, () => aReply(200, { 'endpoint-load-metrics': text }));
    await byHeader.begin();
    expect(byHeader.metrics).toMatchObject([{ cpuUtilization: 0.5 }]);
    const unwanted = setup({}, () => aReply(200, { 'endpoint-load-metrics': text }), false);
    await unwanted.begin();
    expect(unwanted.metrics).toEqual([]);
  });
});

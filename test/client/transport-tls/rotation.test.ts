import { afterEach, describe, expect, test } from 'vitest';
import { http1Transport } from '../../../src/client/transport/http1/transport.js';
import { http2Transport } from '../../../src/client/transport/http2/transport.js';
import { systemClock } from '../../../src/core/clock.js';
import { silentLogger } from '../../../src/core/log.js';
import { DEFAULT_CONNECTIONS } from '../../../src/core/model/connection.js';
import type { TlsClient } from '../../../src/core/tls.js';
import type { Transport, TransportFactory } from '../../../src/core/transport.js';
import { CountingLimits } from '../../support/counting-limits.js';
import { callOf, endpointAt, endOf, text, until } from '../../support/http2-fixture.js';
import { badCertificate, testCa } from '../../support/pki.js';
import { type SecureHttp, secureHttp } from '../../support/tls-http.js';
import { exactly, MUTUAL, STRICT, stateOf, type Workload, workload } from '../../support/tls-peers.js';

const ca = testCa();
const issue = (name: string) => stateOf(ca.issue({ name }), ca);
/** Drains at once. */
const random = { next: () => 0, int: () => 0 };
const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of cleanUp.splice(0).reverse()) await end();
});

interface Setting {
  readonly server: SecureHttp;
  readonly serving: Workload;
  readonly calling: Workload;
  readonly transport: Transport;
  readonly limits: CountingLimits;
}

async function setting(open: TransportFactory, state = issue('web'), config = MUTUAL, warm = 0): Promise<Setting> {
  const serving = workload(issue('reviews'));
  const server = await secureHttp(serving.tls.server(STRICT), (_, response) => response.end('hello'));
  const calling = workload(state, { random });
  const { transport, limits } = transportTo(open, server.port, calling.tls.client(config, 'reviews'), warm);
  cleanUp.push(
    () => server.close(),
    () => transport.close(true),
  );
  return { server, serving, calling, transport, limits };
}

function transportTo(open: TransportFactory, port: number, tls: TlsClient, warm = 0) {
  const limits = new CountingLimits(64, 10_000);
  const transport = open({
    endpoint: endpointAt(port),
    tls,
    connectTimeoutMs: 10_000,
    idleTimeoutMs: 60_000,
    limits,
    clock: systemClock,
    logger: silentLogger,
    connections: { ...DEFAULT_CONNECTIONS, warm },
  });
  return { transport, limits };
}

async function get(transport: Transport): Promise<string> {
  const reply = await transport.call(callOf({ scheme: 'https' }));
  const end = endOf(reply);
  const body = await text(reply.body);
  const { error } = await end;
  if (error !== undefined) throw error;
  return body;
}

describe.each([
  ['HTTP/1.1', http1Transport],
  ['HTTP/2', http2Transport],
] as const)('%s under mutual TLS', (_, open) => {
  test('a call gets through, and no plain byte is sent', async () => {
    const { transport } = await setting(open);
    expect(await get(transport)).toBe('hello');
  });

  test('no call fails while certificates of both sides are replaced again and again', async () => {
    const { server, serving, calling, transport } = await setting(open);
    let done = 0;
    const failures: unknown[] = [];
    const worker = async (): Promise<void> => {
      while (done < 300) {
        await get(transport).catch((error) => failures.push(error));
        if (++done % 60 === 0) calling.source.set(issue('web'));
        if (done % 90 === 0) serving.source.set(issue('reviews'));
      }
    };
    await Promise.all(Array.from({ length: 4 }, worker));
    expect(failures).toEqual([]);
    // Connections that turn out not to be needed are closed before the server is done with them.
    expect(server.refused.filter(({ name }) => name === 'TlsPeerError')).toEqual([]);
    expect(server.accepted()).toBeGreaterThan(3);
  });

  test('a connection that is to be drained finishes its calls, takes no others, and goes', async () => {
    const serving = workload(issue('reviews'));
    const held: (() => void)[] = [];
    const server = await secureHttp(
      serving.tls.server(STRICT),
      (_request, response) => void held.push(() => response.end('late')),
    );
    const calling = workload(issue('web'), { random });
    const { transport, limits } = transportTo(open, server.port, calling.tls.client(MUTUAL, 'reviews'));
    cleanUp.push(
      () => server.close(),
      () => transport.close(true),
    );
    const first = get(transport);
    await until(() => held.length === 1);
    calling.source.set(issue('web'));
    await new Promise((resolve) => setTimeout(resolve, 5));
    const second = get(transport);
    await until(() => held.length === 2);
    expect(server.accepted()).toBe(2);
    for (const answer of held) answer();
    expect([await first, await second]).toEqual(['late', 'late']);
    await until(() => limits.open === 1);
  });

  test('connections in reserve are replaced as well', async () => {
    const { server, calling, transport } = await setting(open, undefined, undefined, 2);
    await transport.warmed?.();
    await until(() => server.accepted() === 2);
    calling.source.set(issue('web'));
    await until(() => server.accepted() === 4);
    expect(await get(transport)).toBe('hello');
  });

  test('a server that is somebody else is named, with the reason, and the call was not sent', async () => {
    const { transport, limits } = await setting(
      open,
      undefined,
      exactly('spiffe://cluster.local/ns/default/sa/ratings'),
    );
    const error = await get(transport).catch((e) => e);
    expect(error).toMatchObject({
      code: 'CONNECT_FAILED',
      reached: 'no',
      cause: { name: 'TlsPeerError', reason: 'wrong_san' },
    });
    expect(error.message).toContain(
      'TLS with "reviews": its certificate is for spiffe://cluster.local/ns/default/sa/reviews',
    );
    expect(limits.open).toBe(0);
  });

  test('a client whose certificate will not do is refused, and the server knows why', async () => {
    const { server, transport } = await setting(open, stateOf(badCertificate('expired', ca), ca));
    await expect(get(transport)).rejects.toMatchObject({ origin: 'network' });
    expect(server.refused).toMatchObject([{ reason: 'expired' }]);
  });

  test('a peer that is revoked loses the connection that its calls are on', async () => {
    const { serving, calling, transport } = await setting(open);
    expect(await get(transport)).toBe('hello');
    const { identity, trust } = calling.source.current ?? {};
    const revoked = serving.source.current?.identity as unknown as { serial: Uint8Array };
    calling.source.set({ identity, trust, crls: [ca.crl([revoked.serial])] });
    await expect(get(transport)).rejects.toMatchObject({ cause: { reason: 'revoked' } });
  });
});

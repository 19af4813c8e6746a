import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as grpc from '@grpc/grpc-js';
import { afterAll, describe, expect, test } from 'vitest';
import { CLUSTER } from '../../../src/core/resources.js';
import type { ChannelCredentialsConfig } from '../../../src/xds/bootstrap/index.js';
import { ScriptedAds } from '../../support/scripted-ads.js';
import { selfSigned } from '../../support/self-signed.js';
import { Recorder, start, until } from './harness.js';

const folder = mkdtempSync(join(tmpdir(), 'inmesh-ads-tls-'));
afterAll(() => rmSync(folder, { recursive: true }));

const server = selfSigned(folder, 'server');
const client = selfSigned(folder, 'client');

describe.skipIf(server === undefined || client === undefined)(
  'tls (gRFC A65; skipped where there is no openssl)',
  () => {
    const tls = (given: Partial<ChannelCredentialsConfig>): ChannelCredentialsConfig => ({
      kind: 'tls',
      caCertificateFile: server?.cert,
      certificateFile: undefined,
      privateKeyFile: undefined,
      refreshIntervalMs: 600_000,
      ...(given as object),
    });

    async function serve(clientAuthority: string | undefined): Promise<ScriptedAds> {
      const pair = { cert_chain: readFileSync(server?.cert ?? ''), private_key: readFileSync(server?.key ?? '') };
      const roots = clientAuthority === undefined ? null : readFileSync(clientAuthority);
      return await ScriptedAds.start(0, grpc.ServerCredentials.createSsl(roots, [pair], roots !== null));
    }

    test('the server is verified against the named authority', async () => {
      const ads = await serve(undefined);
      const good = start(ads.uri, { credentials: tls({}) });
      await good.client.ready();
      const bad = start(ads.uri, { credentials: tls({ caCertificateFile: client?.cert } as never) });
      const watcher = new Recorder();
      bad.client.watch(CLUSTER, 'a', watcher);
      await until(() => watcher.told.length === 1);
      expect(watcher.errors[0]?.message).toMatch(/gRPC status 14: .*self.signed certificate/);
      await good.client.close();
      await bad.client.close();
      ads.close();
    });

    test('the client shows its certificate, read anew for each connection', async () => {
      const ads = await serve(client?.cert);
      const mutual = tls({ certificateFile: client?.cert, privateKeyFile: client?.key } as never);
      const { client: ours } = start(ads.uri, { credentials: mutual });
      ours.watch(CLUSTER, 'a', new Recorder());
      expect(await (await ads.nextStream()).next()).toMatchObject({ resource_names: ['a'] });
      await ours.close();
      ads.close();
    });
  },
);

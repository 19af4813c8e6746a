import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startControlPlane } from '../../../src/controlplane/control-plane.js';
import type { Logger } from '../../../src/core/log.js';
import { type Mesh, meshClient } from '../../../src/index.js';
import { Mailbox } from '../../support/mailbox.js';
import { askReviews, type Services, services } from './pair.js';

const SHOP = 'spiffe://cluster.local/ns/default/sa/shop';
const OTHER = ['---', 'apiVersion: inmesh.dev/v1alpha1', 'kind: MeshConfig', 'metadata: { name: mesh }'];

let folder: string;
let both: Services;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'inmesh-domain-'));
  both = await services();
});
afterEach(async () => {
  await both.close();
  rmSync(folder, { recursive: true });
});

const inAnother = (): string => [both.yaml, ...OTHER, 'spec: { trustDomain: example.org }'].join('\n');

/** What is told as an error. */
function errors(): { readonly logger: Logger; readonly told: Mailbox<string> } {
  const told = new Mailbox<string>();
  const nothing = (): void => {};
  const error: Logger['error'] = (message, fields) => told.put(`${message} ${JSON.stringify(fields)}`);
  return { logger: { debug: nothing, info: nothing, warn: nothing, error } as Logger, told };
}

test('a mesh that has certificates does not move to another trust domain while it runs: it says so, and goes on', async () => {
  const config = join(folder, 'mesh.yaml');
  writeFileSync(config, both.yaml);
  await both.serve({ config }, () => undefined);
  const { logger, told } = errors();
  const mesh: Mesh = meshClient({ config, service: 'shop', logger });
  try {
    expect((await askReviews(mesh)).spiffeId).toBe(SHOP);
    writeFileSync(config, inAnother());
    const problem = await told.take();
    expect(problem).toContain('is not the trust domain that this process has its certificate in');
    expect(problem).toContain('start them anew');
    expect((await askReviews(mesh)).spiffeId).toBe(SHOP);
  } finally {
    await mesh.close();
  }
});

test('a control plane does not serve a trust domain that its authority does not certify for', async () => {
  const config = join(folder, 'mesh.yaml');
  writeFileSync(config, inAnother());
  const ca = { directory: join(folder, 'ca'), listen: '127.0.0.1:0' };
  const plane = await startControlPlane({ config, listen: '127.0.0.1:0', ca });
  try {
    expect(plane.status().ready).toBe(false);
    expect(JSON.stringify(plane.status().refused)).toContain('is not that of the certificate authority here');
  } finally {
    await plane.close();
  }
});

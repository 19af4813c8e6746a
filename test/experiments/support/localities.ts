import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { policyYaml, serviceYaml } from '../../support/mesh-yaml.js';

/** A file with one service whose servers are in localities, of which the first that is named is preferred. */
export function inLocalities(
  service: string,
  localities: Readonly<Record<string, readonly { readonly port: number }[]>>,
): { readonly file: string; remove(): void } {
  const endpoints = Object.entries(localities).flatMap(([locality, servers]) =>
    servers.map(({ port }) => `{ address: "127.0.0.1:${port}", locality: ${locality}/${locality}-1 }`),
  );
  const order = Object.keys(localities).join(', ');
  const folder = mkdtempSync(join(tmpdir(), 'inmesh-localities-'));
  const file = join(folder, 'mesh.yaml');
  writeFileSync(
    file,
    serviceYaml(service, `endpoints: [${endpoints.join(', ')}]`) +
      policyYaml('near-first', service, `loadBalancer: { localityLbSetting: { failoverOrder: [${order}] } }`),
  );
  return { file, remove: () => rmSync(folder, { recursive: true }) };
}

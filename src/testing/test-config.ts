import { compileText, formatProblem } from '../controlplane/config.js';
import type { DnsOptions } from '../core/dns.js';
import { ResourceStore } from '../xds/resource-store.js';
import type { MeshSource } from '../mesh/source.js';
import { watchServers } from '../xds/servers/index.js';
import { xdsConfigSource } from '../xds/source.js';

/**
 * Configuration of a test: Services with endpoints, and YAML for the rest, through the real compiler and decoder. Throws an error that
 * lists every mistake.
 */
export function testConfig(
  services: Readonly<Record<string, readonly string[]>>,
  yaml: string | undefined,
  dns: DnsOptions,
): MeshSource {
  const documents = Object.entries(services).map(([name, endpoints]) =>
    JSON.stringify({ apiVersion: 'v1', kind: 'Service', metadata: { name }, spec: { endpoints } }),
  );
  const files = [{ name: 'testMesh({ services })', text: documents.join('\n---\n') }];
  if (yaml !== undefined) files.push({ name: 'testMesh({ config })', text: yaml });
  const { resources, problems } = compileText(files);
  const store = new ResourceStore();
  const mistakes = problems.map(formatProblem);
  if (mistakes.length === 0) mistakes.push(...store.update(resources).map(({ error }) => error.message));
  if (mistakes.length > 0) throw new Error(`testMesh: the configuration is refused:\n${mistakes.join('\n')}`);
  const source = xdsConfigSource({
    cache: store,
    listenerName: (authority) => authority,
    dns,
    logger: dns.logger,
    ready: () => Promise.resolve(),
    close: () => Promise.resolve(),
  });
  return { ...source, watchServer: watchServers({ cache: store, listenerName: () => undefined, logger: dns.logger }) };
}

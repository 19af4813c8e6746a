import { DecodeError, record, shown } from '../../core/decode.js';
import type { Document } from '../yaml/document.js';
import { HOST_PORT_SHAPE, hostPortProblem, parseHostPort } from '../yaml/host-port.js';
import type { Path } from '../yaml/problem.js';

const NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/**
 * `{ reviews: ['127.0.0.1:9001'] }` as Services without ports, for `meshClient({ services })`; loads no YAML parser and no
 * schemas. Throws a DecodeError that names the entry: `services.reviews[0]: must be host:port, …`.
 */
export function servicesToDocuments(
  services: Readonly<Record<string, readonly string[]>>,
  path = 'services',
): Document[] {
  return Object.entries(record(services, path)).map(([name, endpoints]): Document => {
    const at = `${path}.${name}`;
    if (!NAME.test(name))
      throw new DecodeError(at, 'the name of a service has up to 63 lower-case letters, digits and "-"');
    return {
      kind: 'Service',
      namespace: 'default',
      name,
      labels: {},
      createdAt: Number.POSITIVE_INFINITY,
      spec: { type: 'ClusterIP', endpoints: addresses(endpoints, at) },
      locate: (_path: Path) => ({ file: path, line: 0, column: 0 }),
    };
  });
}

function addresses(endpoints: unknown, path: string): string[] {
  if (!Array.isArray(endpoints))
    throw new DecodeError(path, `must be a list of ${HOST_PORT_SHAPE}, got ${shown(endpoints)}`);
  const seen = new Set<string>();
  return endpoints.map((endpoint: unknown, index) => {
    const at = `${path}[${index}]`;
    const address = typeof endpoint === 'string' ? parseHostPort(endpoint) : undefined;
    if (address?.port === undefined) throw new DecodeError(at, hostPortProblem(endpoint));
    const key = `${address.host} ${address.port}`;
    if (seen.has(key)) throw new DecodeError(at, `address ${shown(endpoint)} is there twice`);
    seen.add(key);
    return endpoint as string;
  });
}

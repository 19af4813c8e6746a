import { isIP } from 'node:net';
import { shown } from '../../../core/decode.js';
import { HOST_PORT_SHAPE, hostPortProblem, parseHostPort } from '../host-port.js';
import type { Path, Report } from '../problem.js';
import type { InlineEndpoint, ServiceSpec } from '../schema/service.js';

export function checkService(spec: ServiceSpec, report: Report): void {
  checkPorts(spec, report);
  const external = spec.type === 'ExternalName';
  if (external && spec.externalName === undefined) {
    report(['spec', 'externalName'], 'is missing: a Service of type ExternalName needs it', { expected: 'a DNS name' });
  }
  if (!external && spec.externalName !== undefined) {
    report(['spec', 'externalName'], 'needs "type: ExternalName" beside it', { expected: 'type: ExternalName' });
  }
  const sources = [
    ...(external ? ['externalName'] : []),
    ...(spec.dns !== undefined ? ['dns'] : []),
    ...(spec.endpoints !== undefined ? ['endpoints'] : []),
  ];
  if (sources.length > 1)
    report(['spec', sources[1] as string], `cannot be combined with ${sources[0]}: keep one of them`);
  if (spec.dns !== undefined && parseHostPort(spec.dns)?.port === undefined) {
    report(['spec', 'dns'], hostPortProblem(spec.dns), { expected: HOST_PORT_SHAPE });
  }
  if (spec.dns !== undefined && isIP(parseHostPort(spec.dns)?.host ?? '') !== 0) {
    report(['spec', 'dns'], `is an IP address: list it under endpoints, got ${shown(spec.dns)}`, {
      expected: 'a DNS name',
    });
  }
  checkEndpoints(spec, report);
}

function checkPorts(spec: ServiceSpec, report: Report): void {
  const ports = spec.ports ?? [];
  const numbers = new Set<string>();
  const names = new Set<string>();
  ports.forEach((port, index) => {
    const at = ['spec', 'ports', index];
    const key = `${port.port}/${port.protocol}`;
    if (numbers.has(key)) report([...at, 'port'], `port ${port.port} is there twice`);
    numbers.add(key);
    if (port.name !== undefined && names.has(port.name)) report([...at, 'name'], `name "${port.name}" is there twice`);
    if (port.name !== undefined) names.add(port.name);
    if (port.name === undefined && ports.length > 1)
      report([...at, 'name'], 'is missing: each of several ports needs a name');
    const tls = port.appProtocol === 'https';
    if (tls && spec.type !== 'ExternalName' && spec.dns === undefined) {
      const remedy = 'name it with "dns: host:port" or "type: ExternalName"';
      report([...at, 'appProtocol'], `"https" needs a DNS name whose certificate can be verified: ${remedy}`);
    }
  });
}

function checkEndpoints(spec: ServiceSpec, report: Report): void {
  checkAddresses(spec.endpoints ?? [], report);
  const names = new Set((spec.ports ?? []).flatMap((port) => (port.name === undefined ? [] : [port.name])));
  const seen = new Set<string>();
  (spec.endpoints ?? []).forEach((endpoint, index) => {
    const at = ['spec', 'endpoints', index];
    const inline = typeof endpoint === 'string';
    const text = inline ? endpoint : endpoint.address;
    const field = inline ? at : [...at, 'address'];
    const address = parseHostPort(text);
    if (address === undefined) {
      report(field, hostPortProblem(text), { expected: HOST_PORT_SHAPE });
      return;
    }
    if (address.port === undefined && spec.ports === undefined) {
      report(field, `must have a port, as the Service has no ports: ${HOST_PORT_SHAPE}, got ${shown(text)}`, {
        expected: HOST_PORT_SHAPE,
      });
    }
    if (!inline) checkPlace(endpoint, at, report);
    const key = `${address.host} ${address.port ?? ''} ${inline ? '' : JSON.stringify(endpoint.ports ?? {})}`;
    if (seen.has(key)) report(field, `address ${shown(text)} is there twice: give one endpoint a weight instead`);
    seen.add(key);
    for (const name of inline ? [] : Object.keys(endpoint.ports ?? {})) {
      if (!names.has(name))
        report(
          [...at, 'ports', name],
          `the Service has no port named "${name}"; it has: ${[...names].join(', ') || 'none'}`,
        );
    }
  });
}

/** Names make a cluster that is resolved by DNS, and there an endpoint has the addresses of its name (`compile/cluster.ts`). */
function checkAddresses(endpoints: NonNullable<ServiceSpec['endpoints']>, report: Report): void {
  if (!endpoints.some((endpoint) => typeof endpoint !== 'string' && endpoint.additionalAddresses !== undefined)) return;
  endpoints.forEach((endpoint, index) => {
    const inline = typeof endpoint === 'string';
    const at = ['spec', 'endpoints', index];
    if (isIP(parseHostPort(inline ? endpoint : endpoint.address)?.host ?? '') === 0)
      report(
        inline ? at : [...at, 'address'],
        'must be an IP address in a Service with additionalAddresses: a name is resolved to all it has',
      );
  });
}

function checkPlace(endpoint: InlineEndpoint, at: Path, report: Report): void {
  if (endpoint.zone !== undefined && endpoint.locality !== undefined)
    report([...at, 'zone'], 'cannot be combined with locality, which has the zone in it: keep one of them');
  const addresses = new Set([endpoint.address]);
  endpoint.additionalAddresses?.forEach((text, number) => {
    const other = parseHostPort(text);
    const otherAt = [...at, 'additionalAddresses', number];
    if (other === undefined || isIP(other.host) === 0)
      report(otherAt, `must be an IP address, with or without a port, got ${shown(text)}`, {
        expected: 'an IP address',
      });
    if (addresses.has(text)) report(otherAt, `address ${shown(text)} is there twice`);
    addresses.add(text);
  });
}

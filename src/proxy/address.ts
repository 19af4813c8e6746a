import { DecodeError, shown, string } from '../core/decode.js';
import type { Address } from '../core/model/endpoint.js';

/** `127.0.0.1:15001`, `[::1]:0`, `localhost:8080` as host and port. Throws DecodeError. */
export function listenAddress(value: unknown, path: string): Address {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:/[\]]+)):(\d+)$/.exec(string(value, path));
  const port = Number(match?.[3]);
  const range = port > 65_535 ? ', whose port is not from 0 to 65535' : '';
  if (match === null || range !== '')
    throw new DecodeError(path, `must be host:port, as 127.0.0.1:15001, got ${shown(value)}${range}`);
  return { host: (match[1] ?? match[2]) as string, port };
}

/** Listens on all addresses of a machine. */
const ANY: ReadonlySet<string> = new Set(['0.0.0.0', '::']);
const isLoopback = (host: string): boolean => host === 'localhost' || host === '::1' || host.startsWith('127.');

/** Whether what is sent to `to` comes to who listens at `own`, as far as the two say by themselves. */
export function leadsTo(to: Address, own: Address): boolean {
  if (to.port !== own.port || own.port === 0) return false;
  const [a, b] = [to.host.toLowerCase(), own.host.toLowerCase()];
  return a === b || ANY.has(a) || (ANY.has(b) && isLoopback(a)) || (a === 'localhost' && isLoopback(b));
}

const DEFAULT_NAMESPACE = 'default';

/**
 * Tells whether an authority is a name of the Service that is called `service`, under any port: `shop`, `shop.default`, `shop.default.svc`, `shop.default.svc.cluster.local`, as
 * Kubernetes' DNS has them. A name without a namespace is that of `default`: another Service may have the same in its own.
 */
export function namesOf(service: string): (authority: string) => boolean {
  const own = hostOf(service);
  const [name = own, namespace = DEFAULT_NAMESPACE, ...rest] = own.split('.');
  const isKubernetes = rest.length === 0 || /^svc(\.cluster\.local)?$/.test(rest.join('.'));
  const names = new Set([own]);
  if (isKubernetes) {
    const qualified = `${name}.${namespace}`;
    for (const form of [qualified, `${qualified}.svc`, `${qualified}.svc.cluster.local`]) names.add(form);
    if (namespace === DEFAULT_NAMESPACE) names.add(name);
  }
  return (authority) => names.has(hostOf(authority));
}

const hostOf = (authority: string): string => authority.toLowerCase().replace(/:\d+$/, '').replace(/\.$/, '');

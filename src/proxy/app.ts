import { DecodeError, knownKeys, record, shown } from '../core/decode.js';
import type { Address } from '../core/model/endpoint.js';
import type { Service } from '../core/service.js';
import { leadsTo, listenAddress } from './address.js';
import type { ProxyOptions } from './options.js';

/** The one program that a proxy stands in front of. */
export interface PinnedApp {
  readonly address: Address;
  readonly service: Service;
}

const PROTOCOLS = ['http1', 'http2'] as const;

/** Checks the option `app`. Undefined: there is none. Throws DecodeError. */
export function pinnedApp({ app, service, gateway, servers }: ProxyOptions, listen: Address): PinnedApp | undefined {
  if (app === undefined) return undefined;
  const given = typeof app === 'string' ? { address: app } : app;
  knownKeys(record(given, 'options.app'), 'options.app', ['address', 'protocol']);
  const { protocol = 'http1' } = given;
  if (!PROTOCOLS.includes(protocol))
    throw new DecodeError('options.app.protocol', `must be http1 or http2, got ${shown(protocol)}`);
  const address = listenAddress(given.address, 'options.app');
  if (address.port === 0) throw new DecodeError('options.app', 'must have a port: where does the program listen?');
  if (leadsTo(address, listen))
    throw new DecodeError('options.app', `is this proxy itself (options.listen): where does the program listen?`);
  if (service !== undefined)
    throw new DecodeError('options.app', 'goes without options.service: all goes to the program');
  if (gateway === true)
    throw new DecodeError(
      'options.app',
      'goes without options.gateway: all goes to the program, and nothing elsewhere',
    );
  if (servers === undefined || !('to' in servers) || servers.to === undefined)
    throw new DecodeError('options.app', 'needs options.servers: give mesh.servers');
  return { address, service: servers.to({ ...address, protocol }) };
}

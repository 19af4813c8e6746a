import { isIP } from 'node:net';
import type { Address } from '../../core/model/endpoint.js';
import type { Message } from './message.js';

/** Whether an address may be a host name that is still to be resolved. */
export type Hosts = 'ip' | 'ip-or-name';

/** `core.v3.Address`: a TCP socket address. */
export function socketAddress(message: Message, hosts: Hosts): Address {
  if (message.oneof('socket_address', 'pipe', 'envoy_internal_address') !== 'socket_address') {
    throw message.error('', 'must be a socket_address');
  }
  const socket = message.required('socket_address');
  socket.choice('protocol', ['TCP']);
  if (socket.text('resolver_name') !== '') throw socket.error('resolver_name', 'is not supported; leave it empty');
  const host = socket.requiredText('address');
  if (isIP(host) === 0 && (hosts === 'ip' || !isHostName(host))) {
    throw socket.error(
      'address',
      `must be ${hosts === 'ip' ? 'an IP address' : 'an IP address or a host name'}, got "${host.slice(0, 80)}"`,
    );
  }
  if (socket.oneof('port_value', 'named_port') === 'named_port')
    throw socket.error('named_port', 'is not supported; use port_value');
  const port = socket.uint32('port_value');
  if (port < 1 || port > 65_535) throw socket.error('port_value', `must be from 1 to 65535, got ${port}`);
  return { host, port };
}

/** RFC 1123 names, with the underscores that service names have, and a final dot. */
function isHostName(host: string): boolean {
  const name = host.endsWith('.') ? host.slice(0, -1) : host;
  return name.length <= 253 && name.split('.').every((label) => label.length <= 63 && /^\w([\w-]*\w)?$/.test(label));
}

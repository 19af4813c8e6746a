import { type Clock, systemClock } from '../core/clock.js';
import { DecodeError, shown } from '../core/decode.js';
import { silentLogger } from '../core/log.js';
import { noMeter } from '../core/meter.js';
import { SecureFront, type TakeConnection } from '../server/tls/front.js';
import type { ProxyOptions } from './options.js';

/** What is spoken under TLS, in order of preference. */
const ALPN = ['h2', 'http/1.1'];

/**
 * What a proxy's connections come out of as its mode asks: that of the option `mtls`, and in front of a program, where nothing is said, that of the configuration. Undefined:
 * plain text. Throws DecodeError.
 */
export function frontOf(
  { mtls, app, policies, servers, meter = noMeter, logger = silentLogger }: ProxyOptions,
  clock: Clock = systemClock,
): ((take: TakeConnection) => SecureFront) | undefined {
  if (mtls !== undefined && mtls !== 'strict' && mtls !== 'permissive')
    throw new DecodeError('options.mtls', `must be strict or permissive, got ${shown(mtls)}`);
  const service = app === undefined ? undefined : policies;
  if (mtls === undefined && service === undefined) return undefined;
  if (servers === undefined)
    throw new DecodeError('options.mtls', 'needs options.servers: give mesh.servers, whose identity it is');
  const watch = 'watch' in servers ? servers.watch : () => () => {};
  return (take) =>
    new SecureFront({ mode: mtls, service, alpn: ALPN }, { clock, logger, tls: servers.tls, watch }, meter, take);
}

import { systemClock } from '../../src/core/clock.js';
import { silentLogger } from '../../src/core/log.js';
import { systemTls } from '../../src/core/model/tls.js';
import { seededRandom } from '../../src/core/random.js';
import type { TlsClient } from '../../src/core/tls.js';
import { type MeshTls, type TlsFactoryOptions, tlsFactory } from '../../src/identity/tls/factory.js';

/** A mesh's TLS; without providers it has the system's roots only. */
export const testTls = (options: Partial<TlsFactoryOptions> = {}): MeshTls =>
  tlsFactory({ clock: systemClock, random: seededRandom(1), logger: silentLogger, ...options });

/** TLS to a server that is verified for this name with the system's roots. */
export const tlsFor = (name: string): TlsClient => testTls().client(systemTls(name), name);

import { http1Transport } from '../../../src/client/transport/http1/transport.js';
import { http2Transport } from '../../../src/client/transport/http2/transport.js';
import { systemClock } from '../../../src/core/clock.js';
import { silentLogger } from '../../../src/core/log.js';
import { DEFAULT_CONNECTIONS } from '../../../src/core/model/connection.js';
import { CountingLimits } from '../../support/counting-limits.js';
import { endpointAt, until } from '../../support/http2-fixture.js';

/* A program that has two connections kept warm to a port of this machine, makes no call, and closes nothing. Its arguments: port, protocol. */
const open = process.argv[3] === 'http2' ? http2Transport : http1Transport;
const transport = open({
  endpoint: endpointAt(Number(process.argv[2])),
  tls: undefined,
  connectTimeoutMs: 10_000,
  idleTimeoutMs: 300_000,
  limits: new CountingLimits(),
  connections: { ...DEFAULT_CONNECTIONS, warm: 2, maxLifetimeMs: 600_000 },
  clock: systemClock,
  logger: silentLogger,
});
await until(() => transport.connections === 2);
process.stdout.write('warm');

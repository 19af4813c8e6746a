import { ConnectError, ConnectionLostError } from '../client/transport/errors.js';
import type { MeshError } from '../core/errors.js';

/** For a handler to throw: nobody listens there. The call never reached the server, so it is always safe to retry. */
export const connectionRefused = (): MeshError => new ConnectError('test endpoint', 'connection refused (by the test)');

/** For a handler to throw: the server went away with the request in its hands. */
export const connectionLost = (): MeshError => new ConnectionLostError('test endpoint', 'closed by the test', 'maybe');

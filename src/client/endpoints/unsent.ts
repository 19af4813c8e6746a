import type { Call } from '../../core/call.js';
import type { MeshError } from '../../core/errors.js';

/** No connection could be made, or the one there was went away before anything was written: the request provably never left this process. */
export const neverLeft = (error: MeshError): boolean => error.origin === 'network' && error.reached === 'no';

/** Whether a call that never left may go to another endpoint: somebody waits for it, and its body can be had (again). */
export const mayMove = ({ body, cancellation }: Call): boolean =>
  !cancellation.cancelled && (body === undefined || body.replayable);

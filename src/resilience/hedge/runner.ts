import type { Call } from '../../core/call.js';
import { CancelledError, type MeshError } from '../../core/errors.js';
import type { Payment } from './permit.js';

/** One attempt under way. */
export interface Runner {
  readonly attempt: Call;
  readonly startedAt: number;
  /** Undefined: the first, or a transparent one. */
  readonly payment: Payment | undefined;
}

/** Why an attempt that has lost is ended. */
export const tooLate = (): MeshError => new CancelledError('another attempt of the call answered first', 'maybe');

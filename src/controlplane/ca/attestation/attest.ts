import type { Clock } from '../../../core/clock.js';
import type { Logger } from '../../../core/log.js';
import { CaError } from '../errors.js';
import type { Attested, Attestor, Evidence } from './attestor.js';

/** An attestor that has not answered by then has trouble of its own, in milliseconds; less than half of what a workload waits for its certificate (`RENEWAL_TIMEOUT_MS`). */
export const ATTEST_MS = 5_000;
/** When evidence that only an attestor in trouble may know is to be shown again, in milliseconds. */
const RETRY_MS = 5_000;

/** Who somebody is, or why he was refused, and who says so; undefined where nobody knows this kind of evidence. */
export type Finding =
  | { readonly by: Attestor; readonly attested: Attested }
  | { readonly by: Attestor | undefined; readonly refusal: CaError };

/** Asks them in this order; the first that knows the kind of evidence decides. One that fails or hangs does not stand in the way of the others. Never rejects. */
export async function attest(
  attestors: readonly Attestor[],
  evidence: Evidence,
  { clock, logger }: { readonly clock: Clock; readonly logger: Logger },
): Promise<Finding> {
  const { token } = evidence;
  let trouble = false;
  for (const attestor of attestors) {
    try {
      const attested = await answered(attestor, evidence, clock);
      if (attested !== undefined) return { by: attestor, attested };
    } catch (error) {
      if (error instanceof CaError) return { by: attestor, refusal: withoutToken(error, token) };
      trouble = true;
      const { name } = attestor;
      logger.error('an attestor has a problem, and the others are asked', {
        attestor: name,
        error: hidden(String(error), token),
      });
    }
  }
  if (trouble)
    return { by: undefined, refusal: new CaError('unavailable', 'who you are cannot be found out now', RETRY_MS) };
  const refusal = new CaError(
    'unauthenticated',
    token === undefined
      ? 'show who you are: a join token or a service account token (authorization: Bearer …), or a certificate of this authority'
      : 'the token is of no kind that this authority takes',
  );
  return { by: undefined, refusal };
}

function answered(attestor: Attestor, evidence: Evidence, clock: Clock): Promise<Attested | undefined> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(ATTEST_MS, () => reject(new Error(`no answer within ${ATTEST_MS} ms`)), {
      background: true,
    });
    Promise.resolve()
      .then(() => attestor.attest(evidence))
      .then(resolve, reject)
      .finally(cancel);
  });
}

/** Messages go to logs, and an application's attestor may say in them what it was shown. */
const hidden = (text: string, token: string | undefined): string =>
  token === undefined ? text : text.replaceAll(token, '<token>');

function withoutToken(error: CaError, token: string | undefined): CaError {
  const message = hidden(error.message, token);
  if (message === error.message) return error;
  return new CaError(error.reason, message, error.retryAfterMs);
}

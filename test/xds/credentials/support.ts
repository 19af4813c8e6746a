import type { Logger } from '../../../src/core/log.js';
import { seededRandom } from '../../../src/core/random.js';
import { FakeClock } from '../../support/fake-clock.js';

/** A logger that remembers its warnings. */
export class Warnings implements Logger {
  readonly warnings: { readonly message: string; readonly fields: Readonly<Record<string, unknown>> }[] = [];
  debug(): void {}
  info(): void {}
  warn(message: string, fields: Readonly<Record<string, unknown>> = {}): void {
    this.warnings.push({ message, fields });
  }
  error(): void {}
}

export function environment() {
  return { clock: new FakeClock(), random: seededRandom(7), logger: new Warnings() };
}

const encoded = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A JWT whose signature is none. */
export const jwt = (claims: unknown): string => `${encoded({ alg: 'ES256' })}.${encoded(claims)}.c2ln`;

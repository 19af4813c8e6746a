import { IdentityError } from '../../core/errors.js';
import type { IdentitySource, IdentityState, Secret, SecretWatch } from '../../core/identity.js';
import { readIdentity } from '../svid.js';
import { sourceOf, Watchers } from '../watchers.js';

/** Names that istiod's agent and ours give the two: the workload's certificate, and whom to believe. */
export const SDS_CERTIFICATE = 'default';
export const SDS_TRUST = 'ROOTCA';

export interface SdsIdentityOptions {
  /** For errors and logs: `SDS unix:/run/sds.sock`. */
  readonly name: string;
  readonly secrets: SecretWatch;
  /** Name of the secret with the certificate: `default`, or a SPIFFE ID as SPIRE's agent has them. `false`: none is wanted. Default `default`. */
  readonly certificate?: string | false;
  /** The same of the trust: `ROOTCA`, or a trust domain. */
  readonly trust?: string | false;
  /** What `secrets` holds open. */
  readonly close?: () => void | Promise<void>;
}

/**
 * Identity from an xDS server's secret discovery. Two secrets make one state: the first is told when both are there, since a certificate without roots to go with
 * it would have every peer refused.
 */
export function sdsIdentity(options: SdsIdentityOptions): IdentitySource {
  const { name, secrets, certificate = SDS_CERTIFICATE, trust = SDS_TRUST } = options;
  if (certificate === false && trust === false)
    throw new TypeError(`${name}: neither a certificate nor trust is asked for`);
  const watchers = new Watchers(name);
  let identity: IdentityState['identity'];
  let validation: Extract<Secret, { kind: 'validation' }> | undefined;

  const told = (): void => {
    if ((certificate !== false && identity === undefined) || (trust !== false && validation === undefined)) return;
    watchers.changed({ identity, trust: validation?.trust, crls: validation?.crls ?? [] });
  };
  const trouble = (secret: string, error: Error): void =>
    watchers.failed(new IdentityError(`${name}: secret "${secret}": ${error.message}`, { cause: error }));
  const watch = (secret: string, take: (found: Secret) => void): (() => void) =>
    secrets(secret, {
      changed(found) {
        try {
          take(found);
        } catch (error) {
          return trouble(secret, error as Error);
        }
        told();
      },
      failed: (error) => trouble(secret, error),
    });

  const stops: (() => void)[] = [];
  if (certificate !== false) {
    stops.push(
      watch(certificate, (found) => {
        if (found.kind !== 'certificate') throw new Error('it is no certificate, but whom to believe');
        const { certificates, privateKey } = found;
        identity = readIdentity({ certificates: certificates.join(''), privateKey });
      }),
    );
  }
  if (trust !== false) {
    stops.push(
      watch(trust, (found) => {
        if (found.kind !== 'validation') throw new Error('it does not say whom to believe, but is a certificate');
        validation = found;
      }),
    );
  }
  return sourceOf(watchers, async () => {
    for (const stop of stops) stop();
    await options.close?.();
  });
}

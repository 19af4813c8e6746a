import { type Clock, inBackground, systemClock } from '../core/clock.js';
import { DEFAULT_NAMESPACE, DEFAULT_PROVIDER, DEFAULT_TRUST_DOMAIN, workloadId } from '../core/identity.js';
import type { Logger } from '../core/log.js';
import type { Random } from '../core/random.js';
import type { CertificateProviderConfig } from '../xds/bootstrap/index.js';
import type { IdentityPlan } from './identity.js';
import type { IdentityCa, IdentityEnvironment, IdentityOption, IdentityWorkloadApi } from './identity-option.js';
import { sharedSource } from './shared-source.js';

/** What is known when an identity is wanted. */
export interface IdentityFacts {
  readonly option: IdentityOption | undefined;
  readonly environment: IdentityEnvironment;
  /** Name of this service, in any form that callers use; `named`: somebody said it, and it is not the program's file. */
  readonly service: string;
  readonly named: boolean;
  /** Of the embedded configuration; undefined: a control plane's, which does not say. */
  readonly trustDomain: () => string | undefined;
  /** Folder for the authority of an embedded configuration; undefined: it is not embedded. */
  readonly directory: string | undefined;
  /** `host:port` of the control plane, where that is all that is said of it. */
  readonly controlPlane: string | undefined;
  /** `certificate_providers` of the bootstrap. */
  readonly bootstrap: () => ReadonlyMap<string, CertificateProviderConfig> | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/**
 * Where a certificate provider instance comes from. The mesh's own: the option, INMESH_CA, the bootstrap, SPIFFE_ENDPOINT_SOCKET, the authority of an embedded
 * configuration, or with a join token that of the control plane; the first that is there. Others are the bootstrap's.
 */
export function planIdentity(instance: string, facts: IdentityFacts): IdentityPlan | undefined {
  const { option, environment, directory, controlPlane } = facts;
  const bootstrap = facts.bootstrap()?.get(instance);
  const own = instance === DEFAULT_PROVIDER;
  if (own && option !== undefined) return planned(option, facts);
  if (own && environment.ca !== undefined) return planned({ ca: environment.ca }, facts);
  if (bootstrap !== undefined) return fromBootstrap(instance, bootstrap, facts);
  if (!own) return undefined;
  if (environment.workloadApi !== undefined) return planned({ workloadApi: true }, facts);
  if (directory !== undefined) return planned({ directory }, facts);
  const token = environment.joinToken ?? environment.joinTokenFile;
  return controlPlane === undefined || token === undefined ? undefined : planned({ ca: controlPlane }, facts);
}

/**
 * Whether the identity comes from our control plane's authority: then the control plane has a certificate itself, and is talked to over TLS. An authority that is
 * known by a DNS name is somebody else's.
 */
export function isCertifiedByControlPlane({
  option,
  environment,
}: Pick<IdentityFacts, 'option' | 'environment'>): boolean {
  if (option !== undefined)
    return 'ca' in option && (typeof option.ca === 'string' || option.ca.serverName === undefined);
  if (environment.ca !== undefined) return true;
  return (environment.joinToken ?? environment.joinTokenFile) !== undefined && environment.workloadApi === undefined;
}

/** Whether the workload's own identity is spoken for, so that what a control plane says of instance `default` can be done. */
export const hasIdentity = ({ option, environment }: Pick<IdentityFacts, 'option' | 'environment'>): boolean =>
  option !== undefined || environment.ca !== undefined || environment.workloadApi !== undefined;

function planned(option: IdentityOption, facts: IdentityFacts): IdentityPlan {
  const { clock } = facts;
  if ('source' in option) {
    const { source } = option;
    return { name: source.name, make: () => Promise.resolve(source), foreign: true };
  }
  if ('files' in option) {
    const { files } = option;
    const name = `files ${files.certificate ?? files.spiffeBundleMap ?? files.roots ?? ''}`;
    return { name, make: async () => (await import('../identity/sources/files.js')).fileIdentity(files, { clock }) };
  }
  if ('workloadApi' in option) return workloadApi(option.workloadApi, facts);
  if ('directory' in option) return embedded(option.directory, option.spiffeId ?? ownId(facts), facts);
  if ('sds' in option) {
    const sds = typeof option.sds === 'string' ? { address: option.sds } : option.sds;
    const make = async () => (await import('./identity-remote.js')).sdsSource(sds, facts);
    return { name: `SDS ${sds.address}`, make };
  }
  return authority(typeof option.ca === 'string' ? { address: option.ca } : option.ca, facts);
}

function workloadApi(given: true | string | IdentityWorkloadApi, facts: IdentityFacts): IdentityPlan {
  const { clock, random, environment } = facts;
  const { socket, ...choice } = given === true ? {} : typeof given === 'string' ? { socket: given } : given;
  const endpoint = socket ?? environment.workloadApi;
  const name = `workload API ${endpoint ?? ''}`;
  if (endpoint === undefined)
    return {
      name,
      make: () => Promise.reject(new Error('set SPIFFE_ENDPOINT_SOCKET, or identity.workloadApi.socket')),
    };
  const make = async () => {
    const { workloadApiIdentity } = await import('../identity/workload-api/source.js');
    return workloadApiIdentity({ endpoint, background: true, clock: inBackground(clock), random, ...choice });
  };
  return { name, make };
}

function embedded(directory: string, spiffeId: string, { clock, random, logger }: IdentityFacts): IdentityPlan {
  const make = async () => {
    const { embeddedIdentity } = await import('../controlplane/ca/embedded.js');
    return embeddedIdentity({ directory, spiffeId, clock, random, logger });
  };
  return { name: `ca ${directory}`, make };
}

function authority(ca: IdentityCa, facts: IdentityFacts): IdentityPlan {
  const address = ca.address ?? facts.environment.ca ?? facts.controlPlane;
  const name = `ca ${address ?? ''}`;
  if (address === undefined)
    return { name, make: () => Promise.reject(new Error('set INMESH_CA, or identity.ca.address')) };
  const spiffeId = ca.spiffeId ?? ownId(facts);
  const { clock, environment } = facts;
  const make = async () => {
    const { caSource } = await import('./identity-remote.js');
    const own = () => caSource({ ...ca, address, spiffeId }, facts);
    return clock === systemClock
      ? sharedSource(JSON.stringify([ca, address, spiffeId, environment.joinToken, environment.joinTokenFile]), own)
      : own();
  };
  return { name, make };
}

function fromBootstrap(instance: string, config: CertificateProviderConfig, { clock }: IdentityFacts): IdentityPlan {
  const make = async () => {
    const { fileIdentity } = await import('../identity/sources/files.js');
    return fileIdentity(
      {
        certificate: config.certificateFile,
        privateKey: config.privateKeyFile,
        roots: config.caCertificateFile,
        spiffeBundleMap: config.spiffeTrustBundleMapFile,
        refreshIntervalMs: config.refreshIntervalMs,
      },
      { clock },
    );
  };
  return { name: `certificate_providers.${instance}`, make };
}

/** `reviews`, `reviews:8080`, `reviews.prod`, `reviews.prod.svc.cluster.local`: the name of a Service as callers write it, of which the second part is the namespace. */
function ownId({ service, named, trustDomain }: IdentityFacts): string {
  const [name = '', namespace = DEFAULT_NAMESPACE] = named ? service.replace(/:\d+$/, '').split('.') : [service];
  return workloadId(trustDomain() ?? DEFAULT_TRUST_DOMAIN, segment(namespace), segment(name));
}

/** SPIFFE-ID section 2.2: "letters, numbers, dots, dashes, and underscores". A name that has others, as that of a program's file may, has dashes there. */
function segment(name: string): string {
  const allowed = name.replace(/[^A-Za-z0-9._-]/g, '-');
  return /^\.{0,2}$/.test(allowed) ? 'workload' : allowed;
}

import { type PeerCertificate, checkServerIdentity as checkNames } from 'node:tls';
import type { Clock } from '../../core/clock.js';
import { TlsPeerError } from '../../core/tls.js';
import { readCertificate, readCertificates } from '../certificate.js';
import { readableCrls, type RevocationList } from '../crl.js';
import { workloadOf } from '../svid.js';
import { SteadyTime } from '../tls/steady-time.js';
import { type Role, Verifier } from '../tls/verifier.js';

/** DER, leaf first. */
export type ServerChain = readonly [Buffer, ...Buffer[]];

/** Certificates that a server may send. */
const MAX_CHAIN = 16;

/** What Node tells of a server's certificate, which goes up to a root that is its own issuer, or ends below it. */
export function serverChain(leaf: PeerCertificate): ServerChain {
  const above: Buffer[] = [];
  let last: Shown = leaf;
  for (let next = last.issuerCertificate; next?.raw !== undefined && next !== last; next = last.issuerCertificate) {
    if (above.push(next.raw) >= MAX_CHAIN) break;
    last = next;
  }
  return [leaf.raw, ...above];
}

/** Why a certificate whose chain is good is not the CA's: it has not the DNS name, or without one not the SPIFFE ID `serverId`. Undefined: it is. */
export function nameProblem(
  peer: PeerCertificate,
  serverName: string | undefined,
  serverId: string,
): Error | undefined {
  if (serverName !== undefined) return checkNames(serverName, peer);
  try {
    const { id } = workloadOf(readCertificate(peer.raw));
    return id === serverId ? undefined : new Error(`the CA's server is ${id}, not ${serverId}`);
  } catch (error) {
    return error as Error;
  }
}

interface Shown {
  readonly raw: Buffer;
  readonly issuerCertificate?: Shown;
}

/** The CA's own revocation lists, and who is on them: its server, of which OpenSSL does not look for it (a control plane's certificate may be stolen as any other), and oneself. */
export class CaRevocations {
  readonly #time: SteadyTime;
  #lists: readonly RevocationList[] = [];
  /** Of the last lists that could be read, all of them. */
  #whole: readonly RevocationList[] = [];

  constructor(clock: Pick<Clock, 'now' | 'wallTime'>) {
    this.#time = new SteadyTime(clock);
  }

  /** PEM. What cannot be read takes nothing back: those from before stand beside what can. */
  replace(crls: readonly string[]): void {
    const { lists, problem } = readableCrls(crls);
    if (problem === undefined) this.#whole = lists;
    this.#lists = problem === undefined ? lists : [...this.#whole, ...lists];
  }

  /** Why a server is not to be believed that these roots vouch for; undefined: it is. */
  problemOf(certificates: ServerChain, roots: readonly string[]): Error | undefined {
    const problem = this.#verify('server', certificates, roots);
    return problem && new Error(`the CA's server cannot be believed: ${problem.message}`, { cause: problem });
  }

  /** Whether the chain (PEM, leaf first) is one that peers refuse as revoked. */
  revokes(chain: readonly [string, ...string[]], roots: readonly string[]): boolean {
    const [leaf, ...above] = readCertificates(chain.join('')).map(({ der }) => der);
    const problem = leaf && this.#verify('client', [leaf, ...above], roots);
    return problem instanceof TlsPeerError && problem.reason === 'revoked';
  }

  #verify(role: Role, certificates: ServerChain, roots: readonly string[]): Error | undefined {
    if (this.#lists.length === 0) return undefined;
    try {
      const verifier = new Verifier({ kind: 'roots', certificates: roots }, this.#lists, () => this.#time.times());
      verifier.verify(role, { certificates, openssl: undefined, resumed: false }, undefined);
      return undefined;
    } catch (error) {
      return error as Error;
    }
  }
}

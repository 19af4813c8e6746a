import type { KeyObject } from 'node:crypto';
import type { PeerCertificate } from 'node:tls';
import type { ChannelCredentials } from '@grpc/grpc-js';
import type { Clock } from '../../core/clock.js';
import type { IdentitySource, IdentityState, Secret, SecretWatch, Trust, X509Identity } from '../../core/identity.js';
import type { Random } from '../../core/random.js';
import { fingerprint, readCertificates } from '../certificate.js';
import { certificateRequest, type KeyAlgorithm, newPrivateKey } from '../csr.js';
import { CERTIFICATE, readPem, writePem } from '../pem.js';
import { Renewal, RENEWAL_TIMEOUT_MS } from '../renewal.js';
import { type Grpc, RpcConnection } from '../rpc/connection.js';
import { parseWorkloadId } from '../spiffe-id.js';
import { readIdentity } from '../svid.js';
import { sourceOf, Watchers } from '../watchers.js';
import { CREATE_CERTIFICATE, readCertificateResponse, writeCertificateRequest } from './ca-protocol.js';
import { caTrouble, NothingToShow, noToken, REVOKED } from './ca-refusal.js';
import { CaRevocations, nameProblem, type ServerChain, serverChain } from './ca-server.js';
import { readJoinToken } from './join-token.js';
import { NewerRoot } from './newer-root.js';
import { hostAndPort, pinnedRoot } from './pinned-root.js';
import { SDS_TRUST } from './sds.js';

export interface CaIdentityOptions {
  /** `host:port` of the control plane's TLS port, or of istiod's. */
  readonly address: string;
  /** What is asked for. The CA decides by what it has attested. */
  readonly spiffeId: string;
  /** Join token or service-account token, asked for at each attempt that needs one: files of Kubernetes are written anew. Undefined: there is none. */
  readonly token?: (() => Promise<string | undefined>) | undefined;
  /** What the CA's server is verified with at first, PEM. Absent: the root that the join token names. Later what the CA says is trusted. */
  readonly roots?: readonly string[] | undefined;
  /** DNS name that the CA's certificate must have, as istiod's. Absent: it must have the SPIFFE ID `serverId`. */
  readonly serverName?: string | undefined;
  /** Default `spiffe://<trust domain>/ns/inmesh/sa/control-plane`. */
  readonly serverId?: string | undefined;
  /** Lifetime that is asked for, in milliseconds. Default: the CA's. */
  readonly lifetimeMs?: number | undefined;
  /** Default `ecdsa-p256`. */
  readonly algorithm?: KeyAlgorithm | undefined;
  /** Secret discovery at the same server, for trust and revocation lists. Absent: the root that certificates come with is all that is trusted. */
  readonly secrets?: ((connection: RpcConnection) => SecretWatch) | undefined;
  readonly clock: Clock;
  readonly random: Random;
}

/** What the SPIFFE ID of our control plane is, in any trust domain. */
export const CONTROL_PLANE_PATH = '/ns/inmesh/sa/control-plane';

/** gRPC status: who the caller is was not believed. */
const UNAUTHENTICATED = 16;

/**
 * Identity from a certificate authority: the key is made here and stays here, a request is signed with it, and the certificate that comes back is renewed at half
 * of its life over a connection under the identity that there is. The first contact shows a token, to nobody but the CA that the token was made by. While the CA is
 * away, what there is stands.
 */
export function caIdentity(options: CaIdentityOptions): IdentitySource {
  return new CaIdentity(options).source;
}

class CaIdentity {
  readonly source: IdentitySource;
  readonly #watchers: Watchers;
  readonly #renewal: Renewal;
  readonly #newerRoot: NewerRoot;
  readonly #serverId: string;
  readonly #requests: RpcConnection;
  readonly #discovery: RpcConnection;
  #stopDiscovery: (() => void) | undefined;
  #identity: X509Identity | undefined;
  /** Root of the chain that the last certificate came with. */
  #chainRoot: string | undefined;
  /** What secret discovery says; it knows more than the chain. */
  #validation: Extract<Secret, { kind: 'validation' }> | undefined;
  /** Found by the fingerprint in the join token. */
  #pinned: string | undefined;
  /** The CA did not take the identity that there is: the next attempt shows the token. */
  #doubted = false;
  /** The attempt under way shows the token and nothing else: a server may end a handshake with a certificate that has ended. */
  #nameless = false;
  readonly #revocations: CaRevocations;
  /** The token that was shown last is a join token; undefined: none was. */
  #joining: boolean | undefined;
  /** Serial number of the identity that there is, once a list of the CA has it. Reset by the next identity. */
  #revoked: string | undefined;
  /** Made for the first certificate, until there is one: whose answer was lost has used up its token, which is good for this key once more. */
  #firstKey: KeyObject | undefined;
  /** Who was believed to be the CA when secret discovery was connected. */
  #discoveryServer: ServerChain | undefined;

  constructor(private readonly options: CaIdentityOptions) {
    const { address, clock, random } = options;
    hostAndPort(address);
    const { trustDomain } = parseWorkloadId(options.spiffeId, 'spiffeId');
    this.#serverId = options.serverId ?? `spiffe://${trustDomain}${CONTROL_PLANE_PATH}`;
    this.#watchers = new Watchers(`ca ${address}`);
    this.#revocations = new CaRevocations(clock);
    const connection = (credentials: (library: Grpc) => ChannelCredentials): RpcConnection =>
      new RpcConnection({
        target: address,
        clock,
        background: true,
        credentials,
        // Else an address would be sent where there is place for names only (RFC 6066 section 3). Whose the certificate must be is checked below.
        channel: { 'grpc.ssl_target_name_override': options.serverName ?? 'control-plane' },
      });
    this.#requests = connection((library) => this.#credentials(library, this.#nameless ? undefined : this.#identity));
    // Whom to believe is for everybody to know, and so nobody says who he is: who is revoked, and connects no more under his name, must hear of it.
    this.#discovery = connection((library) =>
      this.#credentials(library, undefined, (chain) => {
        this.#discoveryServer = chain;
      }),
    );
    this.#renewal = new Renewal({
      clock,
      random,
      renew: (signal) => this.#renew(signal),
      renewed: (identity) => this.#renewed(identity),
      failed: (error) => this.#failed(error),
    });
    this.#newerRoot = new NewerRoot(options, () => this.#renewal.now());
    this.source = sourceOf(this.#watchers, () => {
      this.#renewal.close();
      this.#newerRoot.close();
      this.#stopDiscovery?.();
      this.#requests.close();
      this.#discovery.close();
    });
    this.#renewal.start();
  }

  async #renew(signal: AbortSignal): Promise<X509Identity> {
    const { options } = this;
    const { spiffeId, lifetimeMs, algorithm } = options;
    // Whether it has ended is the CA's to say: the wall clock here may have been set. A token that was shown once may be good no more.
    const held = this.#identity;
    const ended = held === undefined || options.clock.wallTime() >= held.notAfter;
    const isRevoked = this.#revoked !== undefined;
    const isToShow = held === undefined || isRevoked || this.#doubted;
    // In turns, whatever comes of this attempt.
    this.#doubted = false;
    const token = isToShow ? await this.#token(signal) : undefined;
    if (token === undefined && held === undefined)
      throw new NothingToShow(noToken(spiffeId, options.serverName === undefined));
    if (token === undefined && isRevoked) throw new NothingToShow(REVOKED);
    this.#nameless = token !== undefined && (ended || isRevoked);
    if (this.#roots().length === 0) throw new NothingToShow('there is nothing to verify the CA with: set its roots');
    const privateKey = token === undefined ? await newPrivateKey(algorithm) : await this.#keyForToken();
    const csr = certificateRequest(privateKey, { spiffeId });
    const request = writeCertificateRequest({ csr, validitySeconds: Math.floor((lifetimeMs ?? 0) / 1_000) });
    const metadata = token === undefined ? undefined : { authorization: `Bearer ${token}` };
    let bytes: Uint8Array;
    try {
      bytes = await this.#requests.unary(CREATE_CERTIFICATE, request, RENEWAL_TIMEOUT_MS, metadata, signal);
    } catch (error) {
      this.#doubted = token === undefined && (ended || (error as { code?: unknown }).code === UNAUTHENTICATED);
      throw error;
    }
    const pems = readCertificateResponse(bytes)
      ?.chain.flatMap((text) => readPem(text, CERTIFICATE))
      .map((der) => writePem(CERTIFICATE, der));
    if (pems === undefined || pems.length < 2) throw new Error('the CA answered without a certificate and its root');
    const identity = readIdentity({ certificates: pems.slice(0, -1).join(''), privateKey });
    if (identity.spiffeId !== spiffeId)
      throw new Error(`the CA gave a certificate of ${identity.spiffeId ?? 'nobody'}, not of ${spiffeId}`);
    this.#chainRoot = pems.at(-1);
    return identity;
  }

  #renewed(identity: X509Identity): void {
    this.#identity = identity;
    this.#firstKey = undefined;
    this.#revoked = undefined;
    // The next request goes under the new identity.
    this.#requests.reconnect();
    this.#tell();
    this.#discover();
  }

  #failed(cause: unknown): void {
    const { spiffeId, serverName } = this.options;
    const joins = serverName === undefined && this.#joining !== false;
    const { name: source } = this.#watchers;
    this.#watchers.failed(caTrouble(cause, { source, spiffeId, joins, revoked: this.#revoked }));
  }

  async #keyForToken(): Promise<KeyObject> {
    this.#firstKey ??= await newPrivateKey(this.options.algorithm);
    return this.#firstKey;
  }

  /** A list of the CA has the identity that there is: nobody takes it any more, and the next one is for who joins anew. */
  #checkOwn(): void {
    const chain = this.#identity?.certificates;
    if (chain === undefined || !this.#revocations.revokes(chain, this.#roots())) return;
    const isNews = this.#revoked === undefined;
    this.#revoked = readCertificates(chain[0])[0].serialNumber;
    this.#failed(new NothingToShow(REVOKED));
    if (isNews) this.#renewal.now();
  }

  /** From the first certificate on: before it there is nobody to be told. */
  #discover(): void {
    const { secrets } = this.options;
    if (secrets === undefined || this.#stopDiscovery !== undefined || this.#watchers.closed) return;
    this.#stopDiscovery = secrets(this.#discovery)(SDS_TRUST, {
      changed: (secret) => {
        if (secret.kind !== 'validation') return this.#failed(new Error(`secret "${SDS_TRUST}" is a certificate`));
        this.#validation = secret;
        this.#revocations.replace(secret.crls);
        this.#tell();
        this.#checkOwn();
        this.#newerRoot.heard(this.#chainRoot, this.#roots(), this.#identity);
        const server = this.#discoveryServer;
        if (server !== undefined && this.#revocations.problemOf(server, this.#roots()) !== undefined)
          queueMicrotask(() => this.#discoverAnew());
      },
      failed: (error) => this.#failed(error),
    });
  }

  /** It is another CA's server that is to be asked, or none: the one that was is revoked. */
  #discoverAnew(): void {
    if (this.#watchers.closed) return;
    this.#stopDiscovery?.();
    this.#stopDiscovery = undefined;
    this.#discoveryServer = undefined;
    this.#discovery.reconnect();
    this.#discover();
  }

  #tell(): void {
    const state: IdentityState = { identity: this.#identity, trust: this.#trust(), crls: this.#validation?.crls ?? [] };
    this.#watchers.changed(state);
  }

  /** Roots without a trust domain, as istiod sends them, are those of one's own: nobody of another may come with a certificate of theirs. */
  #trust(): Trust | undefined {
    const told = this.#validation?.trust;
    if (told?.kind === 'spiffe') return told;
    const roots = told?.certificates ?? (this.#chainRoot === undefined ? undefined : [this.#chainRoot]);
    if (roots === undefined) return undefined;
    const { trustDomain } = parseWorkloadId(this.options.spiffeId);
    return { kind: 'spiffe', bundles: new Map([[trustDomain, roots]]) };
  }

  /** The text of the token, when it is known whom it may be shown to. */
  async #token(signal: AbortSignal): Promise<string | undefined> {
    const { options } = this;
    const text = await options.token?.();
    if (text === undefined) return undefined;
    const token = readJoinToken(text);
    const { rootFingerprint: pin } = token;
    this.#joining = pin !== undefined;
    const known = this.#roots().map((root) => readCertificates(root)[0]);
    if (pin === undefined ? known.length > 0 : known.some(({ der }) => fingerprint(der) === pin)) return token.text;
    if (pin === undefined)
      throw new NothingToShow(
        'the token does not say which CA it is for: set the roots that the CA is to be verified with',
      );
    this.#pinned = await pinnedRoot(options.address, pin, signal, options.clock);
    return token.text;
  }

  /** Whom the CA's server may be vouched for by. */
  #roots(): readonly string[] {
    const { roots = [], spiffeId } = this.options;
    const trust = this.#trust();
    const told = trust?.kind === 'spiffe' ? trust.bundles.get(parseWorkloadId(spiffeId).trustDomain) : undefined;
    return [...(told ?? []), ...roots, ...(this.#pinned === undefined ? [] : [this.#pinned])];
  }

  #credentials(
    library: Grpc,
    identity: X509Identity | undefined,
    believed: (chain: ServerChain) => void = () => {},
  ): ChannelCredentials {
    const roots = this.#roots();
    const checkServerIdentity = (_host: string, peer: PeerCertificate): Error | undefined => {
      const chain = serverChain(peer);
      const problem =
        nameProblem(peer, this.options.serverName, this.#serverId) ?? this.#revocations.problemOf(chain, roots);
      if (problem === undefined) believed(chain);
      return problem;
    };
    const pem = Buffer.from(roots.join('\n'));
    if (identity === undefined) return library.credentials.createSsl(pem, null, null, { checkServerIdentity });
    const key = Buffer.from(identity.privateKey.export({ type: 'pkcs8', format: 'pem' }));
    return library.credentials.createSsl(pem, key, Buffer.from(identity.certificates.join('')), {
      checkServerIdentity,
    });
  }
}

import { isIP, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { checkServerIdentity, connect, type TLSSocket } from 'node:tls';
import type { Clock } from '../../core/clock.js';
import type { UpstreamTls } from '../../core/model/tls.js';
import type { Random } from '../../core/random.js';
import { type TlsClient, type TlsOutcome, TlsPeerError } from '../../core/tls.js';
import { readCertificate } from '../certificate.js';
import type { GeneralName } from '../general-names.js';
import { hasAddress, hasDnsName, sanTest } from '../san.js';
import type { Generation } from './generation.js';
import { Handshake, type Judgement, type Side, shownBy } from './handshake.js';
import type { Material } from './material.js';
import { peerIdentity } from './peer.js';
import type { Shown } from './verifier.js';

/** A session to be taken up again, and with whom it was made. */
interface Session {
  readonly bytes: Buffer;
  readonly generation: Generation;
  readonly judgement: Judgement;
}

/** TLS towards one endpoint, as configured. */
export class Client implements TlsClient, Side {
  readonly name: string;
  readonly peerRole = 'server';
  readonly done = 'secureConnect';
  /** The name that is sent, or the address in its place. */
  readonly #sni: string | undefined;
  readonly #matches: (names: readonly GeneralName[]) => boolean;
  /** The newest session, of the generation that it was made under: of no other it is any good. */
  #session: Session | undefined;
  /** Sockets that were offered a session, and which. */
  readonly #offered = new WeakMap<TLSSocket, Session>();
  readonly #judged = new WeakMap<TLSSocket, Judgement>();

  constructor(
    private readonly config: UpstreamTls,
    host: string,
    readonly material: Material,
    private readonly env: { readonly clock: Clock; readonly random: Random },
  ) {
    // gRFC A101: the endpoint's hostname where that is asked for and it has one; an address is none.
    const fromHost = config.sniFromHost === true && isIP(host) === 0 ? host : undefined;
    this.#sni = fromHost ?? config.sni;
    this.name = this.#sni ?? host;
    this.#matches = sanTest(config.sans);
  }

  get waitsFor(): string | undefined {
    return this.material.waitsFor;
  }

  sameAs(other: TlsClient): boolean {
    return other === this;
  }

  secure(tcp: Socket, alpn: readonly string[], outcome: TlsOutcome): () => void {
    const handshake = new Handshake(this, tcp, alpn, outcome, this.env);
    handshake.begin();
    return () => handshake.abandon();
  }

  open(tcp: Duplex, alpn: readonly string[], generation: Generation): TLSSocket {
    const session = this.#session?.generation === generation ? this.#session : undefined;
    const socket = connect({
      socket: tcp as Socket,
      secureContext: generation.context,
      // "Literal IPv4 and IPv6 addresses are not permitted in HostName" - RFC 6066 section 3
      servername: this.#sni === undefined || isIP(this.#sni) !== 0 ? '' : this.#sni,
      ALPNProtocols: [...alpn],
      // The verdict is ours, when the handshake is done and before a byte of the application is sent or taken.
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
      ...(session === undefined ? undefined : { session: session.bytes }),
    });
    if (session !== undefined) this.#offered.set(socket, session);
    // Told of after the verdict, and more than once.
    socket.on('session', (bytes: Buffer) => {
      const judgement = this.#judged.get(socket);
      if (judgement !== undefined && this.material.current === generation)
        this.#session = { bytes, generation, judgement };
    });
    return socket;
  }

  judge(socket: TLSSocket, generation: Generation): Judgement {
    const judgement = socket.isSessionReused() ? this.#resumed(socket, generation) : this.#fresh(socket, generation);
    this.#judged.set(socket, judgement);
    return judgement;
  }

  /** Whom it was made with was verified then, with these names; nothing is shown again (Node has no certificate of a resumed session for clients). */
  #resumed(socket: TLSSocket, { verifier }: Generation): Judgement {
    const session = this.#offered.get(socket);
    if (session === undefined)
      throw new TlsPeerError('no_certificate', 'the server resumes a session that is not ours');
    const { peer, verified } = session.judgement;
    return { peer, verified: verified && (verifier?.resumed('server', verified) ?? verified) };
  }

  #fresh(socket: TLSSocket, generation: Generation): Judgement {
    const shown = shownBy(socket);
    if (shown === undefined) throw new TlsPeerError('no_certificate', 'the server showed no certificate');
    const { verifier } = generation;
    if (verifier === undefined) return this.#bySystem(socket, shown);
    const verified = verifier.verify('server', shown, this.config.maxVerifyDepth);
    const [leaf] = verified.chain;
    this.#checkNames(leaf?.certificate.names ?? [], () => verified.peer.subject);
    return { peer: verified.peer, verified };
  }

  /** OpenSSL's verdict, and Node's of the name: what Node would do by itself. */
  #bySystem(socket: TLSSocket, { certificates: [der], openssl }: Shown): Judgement {
    if (openssl !== undefined) throw new TlsPeerError(openssl.reason, `${openssl.message} (${openssl.code})`);
    if (this.config.verifySni === true) {
      const problem = checkServerIdentity(this.#sni ?? this.name, socket.getPeerCertificate());
      if (problem !== undefined) throw new TlsPeerError('wrong_san', problem.message, { cause: problem });
      return { peer: peerOf(der), verified: undefined };
    }
    const certificate = readCertificate(der);
    this.#checkNames(certificate.names, () => peerIdentity(certificate).subject);
    return { peer: peerIdentity(certificate), verified: undefined };
  }

  #checkNames(names: readonly GeneralName[], subject: () => string): void {
    const { verifySni, sans } = this.config;
    const sni = this.#sni;
    // gRFC A101: "this validation will replace the match_subject_alt_names if set"; without a server name there is nothing to go by.
    if (verifySni === true && sni !== undefined) {
      if (isIP(sni) === 0 ? hasDnsName(names, sni) : hasAddress(names, sni)) return;
      throw new TlsPeerError('wrong_san', `its certificate is for ${shownNames(names, subject)}, not for "${sni}"`);
    }
    if (this.#matches(names)) return;
    const wanted = sans.slice(0, 5).map(({ match }) => ('value' in match ? `"${String(match.value)}"` : match.kind));
    throw new TlsPeerError(
      'wrong_san',
      `its certificate is for ${shownNames(names, subject)}, and must be for ${wanted.join(' or ')}`,
    );
  }
}

/** Undefined: it cannot be read by our rules, which OpenSSL does not mind. */
function peerOf(der: Buffer): Judgement['peer'] {
  try {
    return peerIdentity(readCertificate(der));
  } catch {
    return undefined;
  }
}

const shownNames = (names: readonly GeneralName[], subject: () => string): string =>
  names.length === 0
    ? subject() || 'nobody'
    : names
        .slice(0, 5)
        .map(({ value }) => value.slice(0, 200))
        .join(', ');

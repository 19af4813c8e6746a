import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type OutgoingHttpHeaders,
} from 'node:http2';
import type { Socket } from 'node:net';
import type { Clock } from '../../../core/clock.js';
import type { MeshError } from '../../../core/errors.js';
import type { TransportOptions } from '../../../core/transport.js';
import { addressOrder } from '../address-order.js';
import { ConnectionLostError, ConnectError, connectError, ProtocolError, StreamRefusedError } from '../errors.js';
import { callsPerConnection, limitLifetime } from '../lifetime.js';
import { Retirement, waiting } from '../retirement.js';
import type { ConnectionOwner } from './connection-owner.js';
import { dial } from './dial.js';
import { Disconnect } from './disconnect.js';
import { Keepalive } from './keepalive.js';
import { errorCodeName, isProtocolError, resetError } from './resets.js';
import type { Http2Settings } from './settings.js';
import { BODY, BODY_AND_TRAILERS, HEAD_ONLY } from './stream-options.js';

/** Stream ids end at 2^31 - 1 (RFC 9113 section 5.1.1); we move on to a new connection a little earlier. */
const LAST_STREAM_ID = 0x7fffffff - 1_000;
/** How long a connection may take to say goodbye before its socket is cut, in milliseconds. */
const LINGER_MS = 1_000;
/** MB that Node lets one session hold in frames and headers; what is not read is bounded by the windows long before. */
const MAX_SESSION_MEMORY_MB = 256;

/** One HTTP/2 connection: dialled at once, usable when the server's SETTINGS are there. */
export class Connection {
  readonly endpoint: string;
  /** Streams open now. */
  active = 0;
  /** How many streams the server allows at once; 0 until its SETTINGS came. */
  streamLimit = 0;
  /** SETTINGS_MAX_HEADER_LIST_SIZE of the server, in bytes. */
  maxHeaderListBytes = Number.POSITIVE_INFINITY;
  /** `lost`: its streams are dead, its socket is on its way out. */
  state: 'connecting' | 'open' | 'draining' | 'lost' = 'connecting';
  /** Whether any stream was ever opened on it. */
  used = false;
  /** Told when it takes no new streams; those whose stream is open on it. */
  readonly onDraining = new Set<() => void>();
  readonly disconnect = new Disconnect();
  readonly #retirement = new Retirement();
  #session: ClientHttp2Session | undefined;
  #socket: Socket | undefined;
  /** Highest stream id that the server will answer, from the last GOAWAY. */
  #lastStreamId = Number.POSITIVE_INFINITY;
  /** Why the connection is going down, for messages; the first reason counts. */
  #reason: string | undefined;
  #goawayCode: number | undefined;
  #protocolError: Error | undefined;
  #failedToConnect = false;
  #giveUp: () => void = () => {};
  #stopConnectTimer: () => void;
  #stopIdleTimer: (() => void) | undefined;
  #stopLifetime: (() => void) | undefined;
  #stopLinger: (() => void) | undefined;
  #idleSince = 0;
  /** No stream is opened after the one with this id. */
  readonly #lastOwnId: number;
  readonly #clock: Clock;
  readonly #keepalive: Keepalive;

  constructor(
    private readonly options: TransportOptions,
    private readonly settings: Http2Settings,
    private readonly owner: ConnectionOwner,
    /** Opened ahead of calls: no call waits for it in particular. */
    readonly ahead: boolean,
  ) {
    this.endpoint = options.endpoint.key;
    this.#clock = options.clock;
    // Ours are 1, 3, 5 (RFC 9113 section 5.1.1): counting them costs a call nothing.
    this.#lastOwnId = Math.min(2 * callsPerConnection(options) - 1, LAST_STREAM_ID);
    this.#keepalive = new Keepalive(settings, options.clock, (detail) => this.destroy(detail));
    this.#stopConnectTimer = this.#clock.after(options.connectTimeoutMs, () => this.#connectTimedOut());
    this.#giveUp = dial(addressOrder(options.endpoint.addresses), options.tls, options.clock, {
      connected: (socket) => this.#connected(socket),
      failed: (cause, detail) => this.#failed(connectError(this.endpoint, detail, cause)),
      drain: () => this.#retirement.now(),
    });
  }

  /** Whether one more stream may be opened now. */
  get free(): boolean {
    if (this.state !== 'open' || this.active >= this.streamLimit) return false;
    const session = this.#session as ClientHttp2Session;
    return !session.closed && !session.destroyed;
  }

  /** Opens a stream; the caller has seen that the connection is `free`. */
  request(headers: OutgoingHttpHeaders, endStream: boolean, waitForTrailers: boolean): ClientHttp2Stream {
    const session = this.#session as ClientHttp2Session;
    const stream = session.request(headers, endStream ? HEAD_ONLY : waitForTrailers ? BODY_AND_TRAILERS : BODY);
    this.used = true;
    if (this.active++ === 0) {
      this.#socket?.ref();
      this.#keepalive.busy();
    }
    if ((stream.id ?? 0) >= this.#lastOwnId) this.drain('its number of calls is used up');
    return stream;
  }

  /** The server has answered: the connection works. */
  answered(): void {
    this.#keepalive.alive();
  }

  /** A call was given up without an answer: is anybody there? */
  suspect(): void {
    if (this.state === 'open') this.#keepalive.suspect();
  }

  /** A stream of ours has closed. */
  release(): void {
    this.active--;
    if (this.active === 0) this.#becameIdle();
    if (this.state === 'open') this.owner.available(this);
  }

  /** What became of a stream that closed before its reply was complete. */
  streamError(stream: ClientHttp2Stream, headSeen: boolean, cause: Error | undefined): MeshError {
    const options = cause === undefined ? {} : { cause };
    const id = stream.id;
    if (id === undefined) return new StreamRefusedError(this.endpoint, 'it was never opened', options);
    // "any activity on streams with higher identifiers ... might not be processed": not seen at all - RFC 9113 section 6.8.
    if (id > this.#lastStreamId)
      return new StreamRefusedError(this.endpoint, `GOAWAY (${this.#goawayName()})`, options);
    const session = this.#session;
    const lost = session === undefined || session.destroyed;
    if (!lost && stream.rstCode === constants.NGHTTP2_REFUSED_STREAM) this.suspect();
    if (!lost || stream.rstCode === constants.NGHTTP2_REFUSED_STREAM)
      return resetError(this.endpoint, stream.rstCode, cause);
    const reached = headSeen ? 'yes' : 'maybe';
    const broken = this.#protocolError ?? (isProtocolError(cause) ? cause : undefined);
    if (broken !== undefined) return new ProtocolError(this.endpoint, broken.message, reached, { cause: broken });
    return new ConnectionLostError(this.endpoint, this.#reason ?? 'the socket was closed', reached, options);
  }

  /** No new streams; those open may finish. */
  drain(reason: string): void {
    if (this.state !== 'open') return;
    this.#reason ??= reason;
    this.#drains();
    // A GOAWAY of ours makes servers send one of theirs, which may refuse a stream of ours that is still on its way: so it comes last.
    if (this.active === 0) this.#hangUp();
  }

  /** Ends the connection and every stream on it. */
  destroy(reason: string): void {
    this.#reason ??= reason;
    if (this.state === 'connecting') this.#failed(new ConnectError(this.endpoint, reason));
    else if (this.state !== 'lost') {
      this.#lose();
      this.#hangUp();
    }
  }

  #connected(socket: Socket): void {
    this.#socket = socket;
    const session = connect('http://inmesh.invalid', {
      createConnection: () => socket,
      settings: { enablePush: false, initialWindowSize: this.settings.streamWindowBytes },
      maxSessionMemory: MAX_SESSION_MEMORY_MB,
    });
    this.#session = session;
    session.setLocalWindowSize(this.settings.connectionWindowBytes);
    session.on('remoteSettings', (remote) => {
      this.maxHeaderListBytes = remote.maxHeaderListSize ?? Number.POSITIVE_INFINITY;
      this.streamLimit = remote.maxConcurrentStreams ?? Number.POSITIVE_INFINITY;
      if (this.state === 'connecting') this.#opened(session);
      if (this.state !== 'open') return;
      this.owner.available(this);
      this.#retirement.listen(() => this.drain('its certificate was replaced'));
    });
    session.on('goaway', (code, lastStreamId, data) => this.#goaway(code, lastStreamId, data));
    session.on('error', (error) => {
      if (isProtocolError(error)) this.#protocolError ??= error;
      this.#reason ??= error.message;
    });
    session.on('close', () => this.#closed());
    // Other errors of the socket reach the session; this one keeps a late one from being unhandled.
    socket.on('error', () => {});
  }

  #opened(session: ClientHttp2Session): void {
    this.state = 'open';
    this.#stopConnectTimer();
    this.#keepalive.start(session);
    this.#stopLifetime = limitLifetime(this.options, () => this.drain('its lifetime is over'));
    this.#becameIdle();
  }

  #goaway(code: number, lastStreamId: number, data: Buffer | undefined): void {
    // Node calls this before it closes or destroys the session, and so before any stream hears of it.
    this.#lastStreamId = lastStreamId;
    this.#goawayCode = code;
    this.#reason ??= `GOAWAY (${this.#goawayName()})`;
    if (code === constants.NGHTTP2_ENHANCE_YOUR_CALM && data?.toString('latin1') === 'too_many_pings')
      this.owner.tooManyPings();
    if (this.state === 'open') this.#drains();
    if (this.active === 0) this.#hangUp();
  }

  #drains(): void {
    this.state = 'draining';
    this.owner.draining(this);
    for (const listener of [...this.onDraining]) listener();
    this.disconnect.tell();
  }

  #goawayName(): string {
    return this.#goawayCode === undefined ? 'none' : errorCodeName(this.#goawayCode);
  }

  #becameIdle(): void {
    this.#keepalive.idle();
    this.#socket?.unref();
    if (this.state !== 'open') {
      this.#hangUp();
      return;
    }
    // One timer for as long as the connection lives, not one per idle moment.
    this.#idleSince = this.#clock.now();
    this.#stopIdleTimer ??= this.#clock.after(this.options.idleTimeoutMs, () => this.#idleTimerFired(), {
      background: true,
    });
  }

  #idleTimerFired(): void {
    this.#stopIdleTimer = undefined;
    if (this.active > 0 || this.state !== 'open') return;
    const rest = this.#idleSince + this.options.idleTimeoutMs - this.#clock.now();
    if (rest <= 0) this.drain('it was idle');
    else this.#stopIdleTimer = this.#clock.after(rest, () => this.#idleTimerFired(), { background: true });
  }

  #connectTimedOut(): void {
    const { connectTimeoutMs, tls } = this.options;
    const missing = this.#session === undefined ? 'connection' : 'HTTP/2 SETTINGS from the server';
    const detail = `no ${missing} within ${connectTimeoutMs} ms (connect_timeout)${waiting(tls)}`;
    this.#failed(new ConnectError(this.endpoint, detail));
  }

  /** It never became usable. */
  #failed(error: MeshError): void {
    if (this.state !== 'connecting') return;
    this.#lose();
    this.#giveUp();
    this.#session?.destroy();
    this.#socket?.destroy();
    this.owner.gone(this, error);
  }

  /** The session has closed: the server hung up, or we did. */
  #closed(): void {
    this.#stopLinger?.();
    if (this.state === 'connecting') {
      this.#failed(
        new ConnectError(this.endpoint, `the server hung up before its HTTP/2 SETTINGS (${this.#reason ?? 'EOF'})`),
      );
    } else if (!this.#failedToConnect) {
      this.#lose();
      this.owner.gone(this, undefined);
    }
  }

  #lose(): void {
    const before = this.state;
    this.state = 'lost';
    this.#stopConnectTimer();
    this.#stopIdleTimer?.();
    this.#stopLifetime?.();
    this.#keepalive.stop();
    if (before === 'connecting') this.#failedToConnect = true;
    else if (before === 'open') this.owner.draining(this);
    this.disconnect.tell();
  }

  /** Ends the session; a peer that does not hang up in its turn must not keep the socket. */
  #hangUp(): void {
    this.#stopLinger ??= this.#clock.after(LINGER_MS, () => this.#socket?.destroy(), { background: true });
    // With an error, so that no stream takes this for its proper end.
    if (this.active === 0) this.#session?.destroy();
    else this.#session?.destroy(new Error(this.#reason), constants.NGHTTP2_CANCEL);
  }
}

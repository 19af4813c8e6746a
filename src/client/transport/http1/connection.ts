import type { Dispatcher } from 'undici';
import Client from 'undici/lib/dispatcher/client.js';
import type { TransportOptions } from '../../../core/transport.js';
import { callsPerConnection, limitLifetime } from '../lifetime.js';
import type { Opened } from './connect.js';
import { cannotSend } from './failure.js';
import { BODY_TIMEOUT_MS, type Exchange, type ExchangeCarrier, UNSENT } from './exchange.js';
import { requestHeaders } from './headers.js';

export interface ConnectionOwner {
  /** The exchange on it is over and it can carry the next one. */
  idle(connection: Connection): void;
  /** Its lifetime is over. One that is idle is to be closed; any other closes itself after its exchange. */
  expired(connection: Connection): void;
  /** It is closed; nothing more will go over it. */
  lost(connection: Connection): void;
}

/**
 * A server that says how long it keeps idle connections (`Keep-Alive: timeout=5`) is believed less this much, so that no request crosses with their end:
 * undici's `keepAliveTimeoutThreshold`. A connection that has less than that is not used again.
 */
const HINT_MARGIN_MS = 2_000;

/** undici wants one. The socket is given to it and each request names its host: the endpoint's own may be what no URL can have (`[fe80::1%eth0]:80`). */
const ORIGIN = 'http://inmesh.invalid';

interface ClientRequest extends Dispatcher.DispatchOptions {
  /** For TLS, which has been made already. Without one, undici looks for it in the host, with the regular expressions of an IPv6 address. */
  readonly servername: string;
}

/**
 * One connection, made for the exchange that is sent at once: one socket for its whole life, one exchange at a time. An undici Client
 * that may not reconnect, so that who counts connections counts right, and a request that met a dying connection goes back to the line and not to the wire.
 */
export class Connection implements ExchangeCarrier {
  readonly #client: Client;
  readonly #endpoint: string;
  /** Exchanges that it may still carry. */
  #left: number;
  #gone = false;
  /** It carried an exchange before this one, or lay in reserve. Written by `send`. */
  reused: boolean;
  #sent = false;
  readonly #stopLifetime: (() => void) | undefined;

  constructor(
    options: TransportOptions,
    { socket, retirement }: Opened,
    private readonly owner: ConnectionOwner,
    /** Milliseconds since it was made. */
    ageMs: number,
  ) {
    const { idleTimeoutMs } = options;
    this.#endpoint = options.endpoint.key;
    let unused: typeof socket | undefined = socket;
    this.#left = callsPerConnection(options);
    this.reused = ageMs > 0;
    const expire = (): void => {
      this.#left = 0;
      owner.expired(this);
    };
    this.#stopLifetime = limitLifetime(options, expire, ageMs);
    retirement.listen(expire);
    socket.once('close', () => this.#closed());
    this.#client = new Client(ORIGIN, {
      connect: (_options, callback) => {
        const first = unused;
        unused = undefined;
        queueMicrotask(() => (first === undefined || first.destroyed ? callback(UNSENT, null) : callback(null, first)));
      },
      pipelining: 1,
      headersTimeout: 0,
      bodyTimeout: BODY_TIMEOUT_MS,
      keepAliveTimeout: idleTimeoutMs,
      keepAliveMaxTimeout: idleTimeoutMs,
      keepAliveTimeoutThreshold: HINT_MARGIN_MS,
    });
  }

  /** Throws nothing: it may be another call's event that has come to this one's turn. */
  send(exchange: Exchange): void {
    this.#left--;
    if (this.#sent) this.reused = true;
    this.#sent = true;
    try {
      this.#client.dispatch(requestOf(exchange, this), exchange as unknown as Dispatcher.DispatchHandler);
    } catch (error) {
      exchange.fail(cannotSend(this.#endpoint, error));
      this.close();
    }
  }

  finished(reusable: boolean): void {
    if (!reusable || this.#gone) return;
    if (this.#left > 0) this.owner.idle(this);
    else this.close();
  }

  /** Closes it at once; an exchange on it fails with `error`. */
  close(error?: Error): void {
    this.#client.destroy(error ?? null, ignore);
  }

  #closed(): void {
    this.#gone = true;
    this.#stopLifetime?.();
    this.owner.lost(this);
    this.#client.destroy(UNSENT, ignore);
  }
}

function requestOf(exchange: Exchange, carrier: ExchangeCarrier): ClientRequest {
  const { call } = exchange;
  return {
    path: call.path,
    method: call.method,
    headers: requestHeaders(call) as string[],
    body: exchange.begin(carrier),
    servername: 'unused',
  };
}

const ignore = (): void => {};

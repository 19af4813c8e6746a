import { connect as connectTcp, type Socket } from 'node:net';
import type { HealthCheckConfig } from '../../core/model/health-check.js';
import type { Address } from '../../core/model/endpoint.js';
import type { TlsClient } from '../../core/tls.js';
import { type CheckResult, failed, PASSED, type Probe, type ProbeEnv, type ProbeTarget, tlsTo } from './probe.js';

export type TcpCheck = Extract<HealthCheckConfig['check'], { kind: 'tcp' }>;

/** More than this without what is waited for, in bytes, is a failure. */
const MAX_RECEIVED_BYTES = 65_536;

/** Envoy's `tcp_health_check`: a connection, and where the configuration says so bytes that go out and bytes that must come back. */
export class TcpProbe implements Probe {
  /** Open from the check before, where connections are reused. */
  #idle: Line | undefined;
  readonly #tls: TlsClient | undefined;

  constructor(
    private readonly check: TcpCheck,
    private readonly target: ProbeTarget,
    env: Pick<ProbeEnv, 'tls'>,
  ) {
    this.#tls = tlsTo(target, env.tls);
  }

  start(done: (result: CheckResult) => void): () => void {
    const exchange = new Exchange(this.check, this.target, this.#tls, (result, line) => {
      const keep =
        result.passed && this.target.reuseConnection && this.check.receive.length > 0 && line?.closed === false;
      if (keep) this.#idle = line;
      else line?.close();
      done(result);
    });
    const idle = this.#idle;
    this.#idle = undefined;
    // One that the server has closed meanwhile is asked anew.
    exchange.start(idle?.closed === false ? idle : undefined);
    return () => exchange.abandon();
  }

  close(): void {
    this.#idle?.close();
    this.#idle = undefined;
  }
}

interface LineUser {
  connected(): void;
  data(chunk: Buffer): void;
  lost(reason: string): void;
}

/** A connection, whose events go to the check that uses it; between two checks what comes is nobody's. */
class Line {
  user: LineUser | undefined;
  /** It is not to be used again: it is closed, or its TLS goes by a certificate that was replaced. */
  closed = false;
  /** That of TLS, where there is one and it is made. */
  #socket: Socket;
  #reason = 'the connection was closed';
  #giveUp: (() => void) | undefined;

  constructor({ host, port }: Address, tls: TlsClient | undefined) {
    const tcp = connectTcp({ host, port, noDelay: true });
    this.#socket = tcp;
    this.#watch(tcp);
    tcp.once('connect', () => {
      if (tls === undefined) this.#connected(tcp);
      else this.#secure(tcp, tls);
    });
  }

  write(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  ref(): void {
    this.#socket.ref();
  }

  unref(): void {
    this.#socket.unref();
  }

  close(): void {
    this.closed = true;
    this.#giveUp?.();
    this.#socket.destroy();
  }

  #secure(tcp: Socket, tls: TlsClient): void {
    this.#giveUp = tls.secure(tcp, [], {
      secured: (socket) => {
        this.#watch(socket);
        this.#connected(socket);
      },
      failed: (error) => {
        this.#reason = error.message;
        this.#lost();
      },
      drain: () => {
        this.closed = true;
        if (this.user === undefined) this.close();
      },
    });
  }

  #connected(socket: Socket): void {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => this.user?.data(chunk));
    this.user?.connected();
  }

  #watch(socket: Socket): void {
    socket.on('error', (error) => {
      this.#reason = error.message;
    });
    socket.on('close', () => this.#lost());
  }

  #lost(): void {
    this.closed = true;
    this.user?.lost(this.#reason);
  }
}

/** One check on one connection; addresses are tried one after the other until one connects. */
class Exchange implements LineUser {
  #received = Buffer.alloc(0);
  #line: Line | undefined;
  /** The address to be tried next. */
  #next = 0;
  #over = false;

  constructor(
    private readonly check: TcpCheck,
    private readonly target: ProbeTarget,
    private readonly tls: TlsClient | undefined,
    private readonly done: (result: CheckResult, line: Line | undefined) => void,
  ) {}

  start(open: Line | undefined): void {
    if (open === undefined) {
      this.#connect();
      return;
    }
    open.ref();
    this.#use(open);
    this.connected();
  }

  abandon(): void {
    this.#over = true;
    this.#line?.close();
  }

  connected(): void {
    this.#next = this.target.endpoint.addresses.length;
    const { send, receive } = this.check;
    if (send.byteLength > 0) this.#line?.write(send);
    // "if no receive payload is specified, ... just a connection test" - health_check.proto
    if (receive.length === 0) this.#finish(PASSED);
  }

  data(chunk: Buffer): void {
    this.#received = Buffer.concat([this.#received, chunk]);
    if (contains(this.#received, this.check.receive)) this.#finish(PASSED);
    else if (this.#received.byteLength > MAX_RECEIVED_BYTES)
      this.#finish(failed('network', `${this.#received.byteLength} bytes came, and not those that are waited for`));
  }

  lost(reason: string): void {
    if (this.#over) return;
    if (this.#next < this.target.endpoint.addresses.length) this.#connect();
    else this.#finish(failed('network', reason));
  }

  #connect(): void {
    const address = this.target.endpoint.addresses[this.#next++] as Address;
    try {
      this.#use(new Line(address, this.tls));
    } catch (error) {
      // A port that is none.
      this.#finish(failed('network', String(error)));
    }
  }

  #use(line: Line): void {
    if (this.#line !== undefined) this.#line.user = undefined;
    this.#line = line;
    line.user = this;
  }

  #finish(result: CheckResult): void {
    this.#over = true;
    const line = this.#line;
    if (line !== undefined) {
      line.user = undefined;
      // Nobody waits for what an idle connection may bring.
      line.unref();
    }
    this.done(result, line);
  }
}

/** Whether all blocks are there, in this order; between them may be other bytes (Envoy's `PayloadMatcher`). */
export function contains(received: Buffer, blocks: readonly Uint8Array[]): boolean {
  let from = 0;
  for (const block of blocks) {
    const at = received.indexOf(block, from);
    if (at < 0) return false;
    from = at + block.byteLength;
  }
  return true;
}

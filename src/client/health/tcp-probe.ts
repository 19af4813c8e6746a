import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { HealthCheckConfig, TlsOrigination } from '../../core/model/cluster.js';
import type { Address } from '../../core/model/endpoint.js';
import { type CheckResult, failed, PASSED, type Probe, type ProbeTarget } from './probe.js';

export type TcpCheck = Extract<HealthCheckConfig['check'], { kind: 'tcp' }>;

/** More than this without what is waited for, in bytes, is a failure. */
const MAX_RECEIVED_BYTES = 65_536;

/** Envoy's `tcp_health_check`: a connection, and where the configuration says so bytes that go out and bytes that must come back. */
export class TcpProbe implements Probe {
  /** Open from the check before, where connections are reused. */
  #idle: Line | undefined;

  constructor(
    private readonly check: TcpCheck,
    private readonly target: ProbeTarget,
  ) {}

  start(done: (result: CheckResult) => void): () => void {
    const exchange = new Exchange(this.check, this.target, (result, line) => {
      const keep = result.passed && this.target.reuseConnection && this.check.receive.length > 0;
      if (keep) this.#idle = line;
      else line?.socket.destroy();
      done(result);
    });
    const idle = this.#idle;
    this.#idle = undefined;
    // One that the server has closed meanwhile is asked anew.
    exchange.start(idle?.socket.destroyed === false ? idle : undefined);
    return () => exchange.abandon();
  }

  close(): void {
    this.#idle?.socket.destroy();
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

  constructor(
    readonly socket: Socket,
    connected: 'connect' | 'secureConnect',
  ) {
    let reason = 'the connection was closed';
    socket.once(connected, () => this.user?.connected());
    socket.on('data', (chunk: Buffer) => this.user?.data(chunk));
    socket.on('error', (error) => {
      reason = error.message;
    });
    socket.on('close', () => this.user?.lost(reason));
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
    private readonly done: (result: CheckResult, line: Line | undefined) => void,
  ) {}

  start(open: Line | undefined): void {
    if (open === undefined) {
      this.#connect();
      return;
    }
    open.socket.ref();
    this.#use(open);
    this.connected();
  }

  abandon(): void {
    this.#over = true;
    this.#line?.socket.destroy();
  }

  connected(): void {
    this.#next = this.target.endpoint.addresses.length;
    const { send, receive } = this.check;
    if (send.byteLength > 0) this.#line?.socket.write(send);
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
      this.#use(open(address, this.target.tls));
    } catch (error) {
      // A name that TLS cannot send, a port that is none.
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
      line.socket.unref();
    }
    this.done(result, line);
  }
}

function open({ host, port }: Address, tls: TlsOrigination | undefined): Line {
  if (tls === undefined) return new Line(connectTcp({ host, port, noDelay: true }), 'connect');
  // RFC 6066 section 3: an IP address is not a server name.
  const servername = isIP(tls.sni) === 0 ? tls.sni : '';
  return new Line(connectTls({ host, port, servername }), 'secureConnect');
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

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
  #socket: Socket | undefined;

  constructor(
    private readonly check: TcpCheck,
    private readonly target: ProbeTarget,
  ) {}

  start(done: (result: CheckResult) => void): () => void {
    const exchange = new Exchange(this.check, this.target, this.#socket, (result, socket) => {
      const keep = result.passed && this.target.reuseConnection && this.check.receive.length > 0;
      this.#socket = keep ? socket : undefined;
      if (keep) this.#await(socket as Socket);
      else socket?.destroy();
      done(result);
    });
    this.#socket = undefined;
    exchange.start();
    return () => exchange.abandon();
  }

  close(): void {
    this.#socket?.destroy();
    this.#socket = undefined;
  }

  /** Between checks: what comes is nobody's, and a server that closes is asked anew. */
  #await(socket: Socket): void {
    const gone = (): void => {
      if (this.#socket === socket) this.#socket = undefined;
      socket.destroy();
    };
    socket.unref();
    socket.removeAllListeners('data').removeAllListeners('close').removeAllListeners('error');
    socket
      .on('data', () => {})
      .once('close', gone)
      .on('error', gone);
  }
}

/** One check on one connection; addresses are tried one after the other. */
class Exchange {
  #received = Buffer.alloc(0);
  #socket: Socket | undefined;
  #address = 0;
  #over = false;

  constructor(
    private readonly check: TcpCheck,
    private readonly target: ProbeTarget,
    private readonly open: Socket | undefined,
    private readonly done: (result: CheckResult, socket: Socket | undefined) => void,
  ) {}

  start(): void {
    if (this.open === undefined) this.#connect();
    else {
      this.open.ref();
      this.open.removeAllListeners('data').removeAllListeners('close').removeAllListeners('error');
      this.#use(this.open);
      this.#send(this.open);
    }
  }

  abandon(): void {
    this.#over = true;
    this.#socket?.destroy();
  }

  #connect(): void {
    const address = this.target.endpoint.addresses[this.#address++] as Address;
    const { tls } = this.target;
    let socket: Socket;
    try {
      socket = open(address, tls);
    } catch (error) {
      // A name that TLS cannot send, a port that is none.
      this.#finish(failed('network', String(error)));
      return;
    }
    this.#use(socket);
    socket.once(tls === undefined ? 'connect' : 'secureConnect', () => this.#send(socket));
  }

  #use(socket: Socket): void {
    this.#socket = socket;
    let reason = 'the connection was closed';
    socket.on('error', (error) => {
      reason = error.message;
    });
    socket.on('close', () => this.#lost(socket, reason));
    socket.on('data', (chunk: Buffer) => this.#data(chunk));
  }

  #send(socket: Socket): void {
    if (this.#over) return;
    // A socket's next address is tried only as long as none has connected.
    this.#address = this.target.endpoint.addresses.length;
    if (this.check.send.byteLength > 0) socket.write(this.check.send);
    // "if no receive payload is specified, ... just a connection test" - health_check.proto
    if (this.check.receive.length === 0) this.#finish(PASSED);
  }

  #data(chunk: Buffer): void {
    if (this.#over) return;
    this.#received = Buffer.concat([this.#received, chunk]);
    if (contains(this.#received, this.check.receive)) this.#finish(PASSED);
    else if (this.#received.byteLength > MAX_RECEIVED_BYTES)
      this.#finish(failed('network', `${this.#received.byteLength} bytes came, and not those that are waited for`));
  }

  #lost(socket: Socket, reason: string): void {
    if (this.#over || this.#socket !== socket) return;
    if (this.#address < this.target.endpoint.addresses.length) this.#connect();
    else this.#finish(failed('network', reason));
  }

  #finish(result: CheckResult): void {
    this.#over = true;
    this.done(result, this.#socket);
  }
}

function open({ host, port }: Address, tls: TlsOrigination | undefined): Socket {
  if (tls === undefined) return connectTcp({ host, port, noDelay: true });
  // RFC 6066 section 3: an IP address is not a server name.
  return connectTls({ host, port, servername: isIP(tls.sni) === 0 ? tls.sni : '' });
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

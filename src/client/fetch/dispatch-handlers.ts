import { STATUS_CODES } from 'node:http';
import type { Dispatcher } from 'undici';
import type { HeaderFields } from '../../core/headers.js';
import type { Reply } from '../../core/reply.js';
import type { UnreadHeaders } from '../transport/http1/headers.js';
import { DispatchExchange } from './dispatch-exchange.js';
import { rawFields } from './dispatch-raw-fields.js';

/**
 * The handler shape of undici 6 and older: that of undici's own `request`, `stream` and `pipeline` up to version 7, and of the fetch
 * built into Node.
 */
export interface LegacyHandler {
  onConnect?(abort: (reason?: Error) => void, context?: unknown): void;
  onResponseStarted?(): void;
  onHeaders?(status: number, headers: Buffer[], resume: () => void, statusText: string): boolean | undefined;
  onData?(chunk: Buffer): boolean | undefined;
  onComplete?(trailers: Buffer[]): void;
  onError?(error: Error): void;
}

/** An exchange for whatever handler was given. `over` is told of its end. */
export function exchangeFor(
  handler: Dispatcher.DispatchHandler,
  over: (exchange: DispatchExchange) => void,
): DispatchExchange {
  return handler.onRequestStart === undefined
    ? new LegacyExchange(handler as unknown as LegacyHandler, over)
    : new ControlledExchange(handler, over);
}

/** For handlers of undici 7 on: it is their controller. */
class ControlledExchange extends DispatchExchange implements Dispatcher.DispatchController {
  /** Null when a policy has read them, and so may have changed them, or when they did not come over HTTP/1.1. */
  rawHeaders: Buffer[] | null = null;

  constructor(
    private readonly handler: Dispatcher.DispatchHandler,
    over: (exchange: DispatchExchange) => void,
  ) {
    super(over);
  }

  protected tellStart(): void {
    this.handler.onRequestStart?.(this, undefined);
  }

  protected tellHead(reply: Reply): void {
    const { status } = reply;
    this.rawHeaders = (reply as Partial<UnreadHeaders>).rawHeaders ?? null;
    this.handler.onResponseStart?.(this, status, reply.headers, STATUS_CODES[status] ?? '');
  }

  protected tellData(chunk: Uint8Array): void {
    this.handler.onResponseData?.(this, chunk as Buffer);
  }

  protected tellEnd(trailers: HeaderFields | undefined): void {
    this.handler.onResponseEnd?.(this, trailers ?? {});
  }

  protected tellError(error: Error): void {
    this.handler.onResponseError?.(this, error);
  }
}

class LegacyExchange extends DispatchExchange {
  constructor(
    private readonly handler: LegacyHandler,
    over: (exchange: DispatchExchange) => void,
  ) {
    super(over);
  }

  protected tellStart(): void {
    this.handler.onConnect?.((reason) => this.abort(reason ?? new Error('aborted')), undefined);
  }

  protected tellHead(reply: Reply): void {
    const { status } = reply;
    this.handler.onResponseStarted?.();
    const resume = (): void => this.resume();
    const more = this.handler.onHeaders?.(status, rawHeadersOf(reply), resume, STATUS_CODES[status] ?? '');
    if (more === false) this.pause();
  }

  protected tellData(chunk: Uint8Array): void {
    if (this.handler.onData?.(chunk as Buffer) === false) this.pause();
  }

  protected tellEnd(trailers: HeaderFields | undefined): void {
    this.handler.onComplete?.(trailers === undefined ? [] : rawFields(trailers));
  }

  protected tellError(error: Error): void {
    this.handler.onError?.(error);
  }
}

/** As they came over the wire when no policy has read them, else made of what the policies left. */
const rawHeadersOf = (reply: Reply & Partial<UnreadHeaders>): Buffer[] => reply.rawHeaders ?? rawFields(reply.headers);

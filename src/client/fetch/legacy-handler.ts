import type { IncomingHttpHeaders } from 'node:http';
import type { Dispatcher } from 'undici';

/** The handler shape of undici 6 and older, which the fetch built into Node uses up to this day. */
export interface LegacyHandler {
  onConnect?(abort: (reason?: Error) => void, context?: unknown): void;
  onResponseStarted?(): void;
  onHeaders?(status: number, headers: Buffer[], resume: () => void, statusText: string): boolean | undefined;
  onData?(chunk: Buffer): boolean | undefined;
  onComplete?(trailers: Buffer[]): void;
  onError?(error: Error): void;
}

/** Whatever handler was given, in the shape of undici 7. */
export function asHandler(handler: Dispatcher.DispatchHandler | LegacyHandler): Dispatcher.DispatchHandler {
  return 'onRequestStart' in handler && handler.onRequestStart !== undefined
    ? handler
    : new LegacyAdapter(handler as LegacyHandler);
}

class LegacyAdapter implements Dispatcher.DispatchHandler {
  constructor(private readonly handler: LegacyHandler) {}

  onRequestStart(controller: Dispatcher.DispatchController, context: unknown): void {
    this.handler.onConnect?.((reason) => controller.abort(reason ?? new Error('aborted')), context);
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: IncomingHttpHeaders,
    statusText?: string,
  ): void {
    this.handler.onResponseStarted?.();
    const more = this.handler.onHeaders?.(status, rawHeaders(headers), () => controller.resume(), statusText ?? '');
    if (more === false) controller.pause();
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.handler.onData?.(chunk) === false) controller.pause();
  }

  onResponseEnd(_controller: Dispatcher.DispatchController, trailers: IncomingHttpHeaders): void {
    this.handler.onComplete?.(rawHeaders(trailers));
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.handler.onError?.(error);
  }
}

/** Name, value, name, value, as bytes; a repeated field as often as it was sent. */
function rawHeaders(headers: IncomingHttpHeaders): Buffer[] {
  const raw: Buffer[] = [];
  for (const name in headers) {
    const value = headers[name];
    const field = fieldName(name);
    if (typeof value === 'string') raw.push(field, Buffer.from(value, 'latin1'));
    else if (value !== undefined) for (const item of value) raw.push(field, Buffer.from(item, 'latin1'));
  }
  return raw;
}

/** Field names seen before, as bytes: the same few come with every reply. At this many, all are forgotten. */
const MAX_NAMES = 256;
const names = new Map<string, Buffer>();

function fieldName(name: string): Buffer {
  let bytes = names.get(name);
  if (bytes === undefined) {
    bytes = Buffer.from(name, 'latin1');
    if (names.size >= MAX_NAMES) names.clear();
    names.set(name, bytes);
  }
  return bytes;
}

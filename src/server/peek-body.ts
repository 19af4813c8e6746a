import type { Readable } from 'node:stream';

export interface PeekedBody {
  readonly bytes: Uint8Array;
  /** There is more of it. */
  readonly partial: boolean;
}

/** A request of node:http, or of node:http2's interface that is like it. */
type Request = Readable & {
  readonly complete?: boolean;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
};

/** Whether the start of a request's body can be looked at before its handler has it. */
export const canPeek = (raw: object): raw is Request =>
  typeof (raw as Partial<Request>).unshift === 'function' && typeof (raw as Partial<Request>).headers === 'object';

/**
 * The first bytes of a body, which stay for the handler to read. Resolves as soon as it has come to its end, or is longer than `maxBytes`; with what there is when it breaks off.
 */
export function peekBody(request: Request, maxBytes: number): Promise<PeekedBody> {
  const { 'content-length': length, 'transfer-encoding': encoding } = request.headers;
  if ((length === undefined || length === '0') && encoding === undefined && request.complete === true)
    return Promise.resolve({ bytes: new Uint8Array(0), partial: false });
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const take = (): void => {
      // Nothing there: to ask for more at the end would end the stream before its reader is here.
      while (request.readableLength > 0 && size <= maxBytes) {
        const chunk = request.read() as Buffer | null;
        if (chunk === null) break;
        chunks.push(chunk);
        size += chunk.byteLength;
      }
      const whole = request.complete === true || String(size) === length;
      if (size > maxBytes || whole) done(size > maxBytes);
    };
    const over = (): void => done(false);
    const done = (partial: boolean): void => {
      request.off('readable', take);
      request.off('close', over);
      request.off('end', over);
      const all = Buffer.concat(chunks);
      if (all.byteLength > 0 && !request.readableEnded && !request.destroyed) request.unshift(all);
      resolve({ bytes: all.subarray(0, maxBytes), partial });
    };
    request.on('readable', take);
    request.once('close', over);
    request.once('end', over);
    take();
  });
}

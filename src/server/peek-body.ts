import type { Readable } from 'node:stream';
import { type HeaderFields, headerValue } from '../core/headers.js';

export interface PeekedBody {
  readonly bytes: Uint8Array;
  /** There is more of it. */
  readonly partial: boolean;
}

/** A request of node:http, or of node:http2's interface that is like it, or a stream of node:http2. */
type Body = Readable & { readonly complete?: boolean };

/** What Node's own `Http2ServerRequest.complete` goes by. */
interface HasState {
  readonly _readableState?: { readonly ended: boolean };
}

/** Whether the start of a request's body can be looked at before its handler has it. */
export const canPeek = (raw: object): raw is Body => typeof (raw as Partial<Body>).unshift === 'function';

/** All of it has come, read or not. */
const hasCome = (body: Body): boolean =>
  body.complete === true || (body as HasState)._readableState?.ended === true || body.readableEnded;

/**
 * The first bytes of a body, which stay for the handler to read. Resolves as soon as it has come to its end, or is longer than `maxBytes`; with what there is when it breaks off.
 */
export function peekBody(body: Body, headers: HeaderFields, maxBytes: number): Promise<PeekedBody> {
  const length = headerValue(headers, 'content-length');
  const announced = (length !== undefined && length !== '0') || headers['transfer-encoding'] !== undefined;
  if (!announced && hasCome(body) && body.readableLength === 0) return Promise.resolve(NOTHING);
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const take = (): void => {
      // Nothing there: to ask for more at the end would end the stream before its reader is here.
      while (body.readableLength > 0 && size <= maxBytes) {
        const chunk = body.read() as Buffer | null;
        if (chunk === null) break;
        chunks.push(chunk);
        size += chunk.byteLength;
      }
      const whole = hasCome(body) || String(size) === length;
      if (size > maxBytes || whole) done(size > maxBytes);
    };
    const over = (): void => done(false);
    const done = (partial: boolean): void => {
      body.off('readable', take);
      body.off('close', over);
      body.off('end', over);
      const all = Buffer.concat(chunks);
      if (all.byteLength > 0 && !body.readableEnded && !body.destroyed) body.unshift(all);
      resolve({ bytes: all.subarray(0, maxBytes), partial });
    };
    body.on('readable', take);
    body.once('close', over);
    body.once('end', over);
    take();
  });
}

const NOTHING: PeekedBody = { bytes: new Uint8Array(0), partial: false };

/** The same of a request of the Fetch standard: of a copy, as nothing can be put back. */
export async function peekRequest(request: Request, maxBytes: number): Promise<PeekedBody> {
  const reader = request.clone().body?.getReader();
  if (reader === undefined) return NOTHING;
  const chunks: Uint8Array[] = [];
  let size = 0;
  while (size <= maxBytes) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value);
    size += value.byteLength;
  }
  // The other copy goes on, however much there is.
  reader.cancel().catch(() => {});
  return { bytes: Buffer.concat(chunks).subarray(0, maxBytes), partial: size > maxBytes };
}

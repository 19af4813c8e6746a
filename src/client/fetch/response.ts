import { STATUS_CODES } from 'node:http';
import { type Body, BytesBody, StreamBody } from '../../core/body.js';
import type { HeaderFields } from '../../core/headers.js';
import { platformClass } from '../../core/platform.js';
import { toHeaders } from './headers.js';
import { type Convert, readAll, toArrayBuffer, toBytes, toJson, toText } from './read.js';
import { toWebStream } from './web-stream.js';

export interface ResponseInfo {
  readonly status: number;
  readonly fields: HeaderFields;
  readonly url: string;
  readonly redirected: boolean;
  /** The signal that the application gave to fetch: after it fired, nothing is read any more. */
  readonly signal: AbortSignal | undefined;
}

/**
 * The platform's Response as a base whose members are all overridden here. Typed loosely, since TypeScript does not let methods
 * override what undici's types call properties; `implements Response` below checks the result.
 */
const PlatformResponse = platformClass(Response);
const Base = PlatformResponse as unknown as new (body: null, init: { status: number }) => object;

/**
 * The Response that fetch returns: `instanceof Response`, but headers and stream are made when somebody asks for them. `text`,
 * `json`, `arrayBuffer` and `bytes` read the pushed body directly, which costs a third of a trip through a web stream; the first use
 * of `body`, `blob`, `formData` or `clone` makes a real stream, and from then on the platform's Response around it does the work.
 */
export class MeshResponse extends Base implements Response {
  readonly #info: ResponseInfo;
  readonly #body: Body | null;
  #headers: Headers | undefined;
  #platform: Response | undefined;
  #used = false;
  readonly #claim: Claim | undefined;

  /** `body` is null for replies that have none by definition; `platform` when the body is a stream already (a clone). */
  constructor(info: ResponseInfo, body: Body | null, platform?: Response) {
    const { status } = info;
    super(null, status >= 200 && status <= 599 ? { status } : { status: 200 });
    this.#info = info;
    this.#body = body;
    this.#platform = platform;
    if (body !== null && platform === undefined && !isWhole(body)) {
      this.#claim = { body, taken: false };
      unread.register(this, this.#claim);
    }
  }

  get status(): number {
    return this.#info.status;
  }

  get ok(): boolean {
    const { status } = this.#info;
    return status >= 200 && status <= 299;
  }

  /** The standard phrase: what the server wrote is lost in HTTP/2, and in the mesh. */
  get statusText(): string {
    return STATUS_CODES[this.#info.status] ?? '';
  }

  get headers(): Headers {
    this.#headers ??= toHeaders(this.#info.fields);
    return this.#headers;
  }

  get url(): string {
    return this.#info.url;
  }

  get redirected(): boolean {
    return this.#info.redirected;
  }

  get type(): 'basic' {
    return 'basic';
  }

  get body(): Response['body'] {
    return this.#body === null ? null : this.#materialised().body;
  }

  get bodyUsed(): boolean {
    return this.#used || (this.#platform?.bodyUsed ?? false);
  }

  text(): Promise<string> {
    return this.#platform === undefined ? this.#read(toText) : this.#platform.text();
  }

  json(): Promise<unknown> {
    return this.#platform === undefined ? this.#read(toJson) : this.#platform.json();
  }

  arrayBuffer(): Promise<ArrayBuffer> {
    return this.#platform === undefined ? this.#read(toArrayBuffer) : this.#platform.arrayBuffer();
  }

  /** Newer than the oldest Node that we run on, and there for all. */
  bytes(): Promise<Uint8Array> {
    return this.#platform === undefined ? this.#read(toBytes) : this.#platform.arrayBuffer().then(asBytes);
  }

  blob(): Promise<Blob> {
    return this.#wrapped().then((response) => response.blob());
  }

  formData(): Promise<FormData> {
    return this.#wrapped().then((response) => response.formData());
  }

  clone(): Response {
    if (this.#used || this.bodyUsed) throw new TypeError('Response.clone: Body has already been consumed.');
    return new MeshResponse(this.#info, this.#body, this.#body === null ? undefined : this.#materialised().clone());
  }

  #read<T>(convert: Convert<T>): Promise<T> {
    const body = this.#body;
    if (body === null) return new Promise((resolve) => resolve(convert(NOTHING)));
    const { signal } = this.#info;
    if (signal?.aborted === true) return Promise.reject(signal.reason);
    if (this.#used) return Promise.reject(new TypeError('Body is unusable: Body has already been read'));
    this.#used = true;
    if (this.#claim !== undefined) this.#claim.taken = true;
    return readAll(body, convert);
  }

  /** For what only the platform can make; rejects when the body was read before. */
  #wrapped(): Promise<Response> {
    if (this.#used) return Promise.reject(new TypeError('Body is unusable: Body has already been read'));
    if (this.#body === null)
      return Promise.resolve(new PlatformResponse(null, { headers: contentTypeOf(this.#info.fields) }));
    return Promise.resolve(this.#materialised());
  }

  #materialised(): Response {
    if (this.#platform === undefined) {
      if (this.#claim !== undefined) this.#claim.taken = true;
      const stream = toWebStream(this.#used ? new BytesBody(NOTHING) : (this.#body as Body));
      this.#platform = new PlatformResponse(stream as unknown as null, { headers: contentTypeOf(this.#info.fields) });
      // A body that was read directly shows as a stream that somebody holds, as the platform's does.
      if (this.#used) stream.getReader();
    }
    return this.#platform;
  }
}

const NOTHING = new Uint8Array(0);

/** Whether nothing of the body is still on its way. */
const isWhole = (body: Body): boolean => body instanceof BytesBody || (body instanceof StreamBody && body.ended);

const asBytes = (buffer: ArrayBuffer): Uint8Array => new Uint8Array(buffer);

/** All that `blob` and `formData` look at. */
const contentTypeOf = (fields: HeaderFields): Record<string, string> => {
  const type = fields['content-type'];
  return type === undefined ? {} : { 'content-type': String(type) };
};

interface Claim {
  readonly body: Body;
  /** Somebody reads it: not ours to end. */
  taken: boolean;
}

/** Responses dropped without being read give their connections back. */
const unread = new FinalizationRegistry<Claim>((claim) => {
  if (!claim.taken) claim.body.cancel();
});

import { ConnectionLostError } from '../client/transport/errors.js';
import { type Body, BytesBody, StreamBody } from '../core/body.js';
import { CancelledError, type MeshError } from '../core/errors.js';
import { appendHeader, type HeaderFields, headerFields } from '../core/headers.js';
import { type Reply, ReplyEnding } from '../core/reply.js';

export interface ReplyInit {
  /** Default 200. */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: string | Uint8Array;
  readonly trailers?: Readonly<Record<string, string | readonly string[]>>;
}

/** A whole reply, as a server would send it. */
export function mockReply({ status = 200, headers, body = '', trailers }: ReplyInit = {}): Reply {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  const fields = trailers === undefined ? undefined : headerFields(trailers);
  const end = { error: undefined, trailers: fields, bytesSent: 0, bytesReceived: bytes.byteLength };
  return {
    status,
    headers: headerFields(headers),
    body: new BytesBody(bytes, fields),
    onEnd: (listener) => listener(end),
  };
}

/** A `Response` as a reply; its body is streamed, with back-pressure. */
export function replyOf(response: Response): Reply {
  const headers = headersOf(response.headers);
  if (response.body === null) return { ...mockReply({ status: response.status }), headers };
  const ending = new ReplyEnding();
  return {
    status: response.status,
    headers,
    body: streamed(response.body, ending),
    onEnd: (listener) => ending.onEnd(listener),
  };
}

export function headersOf(headers: Headers): HeaderFields {
  const fields = headerFields();
  // `Headers` gives each set-cookie field by itself, and joins all others.
  for (const [name, value] of headers) appendHeader(fields, name, value);
  return fields;
}

function streamed(stream: ReadableStream<Uint8Array>, ending: ReplyEnding): Body {
  const reader = stream.getReader();
  let bytesReceived = 0;
  const settle = (error: MeshError | undefined): void =>
    ending.settle({ error, trailers: undefined, bytesSent: 0, bytesReceived });
  const body = new StreamBody({
    resume: () => void pump(),
    cancel(reason) {
      settle(reason ?? new CancelledError('the reader of the reply went away', 'yes'));
      reader.cancel(reason).catch(() => {});
    },
  });
  const pump = async (): Promise<void> => {
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (body.ended) return;
        if (done) break;
        bytesReceived += value.byteLength;
        if (!body.write(value)) return;
      }
      settle(undefined);
      body.end();
    } catch (cause) {
      const error = new ConnectionLostError('test endpoint', 'the body of its reply broke off', 'yes', { cause });
      settle(error);
      body.fail(error);
    }
  };
  void pump();
  return body;
}

import { asMeshError, InvalidRequestError, MeshError, RequestBodyError } from '../../../core/errors.js';
import { ConnectionLostError, ProtocolError } from '../errors.js';

/** How far an exchange had got when it failed. */
export interface Progress {
  /** undici had begun to write it. */
  readonly started: boolean;
  /** Any byte of an answer had come. */
  readonly answered: boolean;
  /** The head of the reply had come. */
  readonly headed: boolean;
  /** The request was one write of at most this many bytes; undefined: it was streamed, in several. */
  readonly writeBytes: number | undefined;
}

/** A single write of up to this size goes into an empty send buffer whole or not at all (SO_SNDBUF is never smaller by default). */
const ATOMIC_WRITE_BYTES = 16_384;

/** undici's codes for a request that it will not write. */
const REFUSED_REQUEST = new Set(['UND_ERR_INVALID_ARG', 'UND_ERR_NOT_SUPPORTED']);

/** Something was thrown before anything was sent, which nobody expects. */
export const cannotSend = (endpoint: string, error: unknown): MeshError =>
  asMeshError(error, (cause) => new ProtocolError(endpoint, String(cause), 'no', { cause }));

/** What undici, the parser or the kernel reported, as one of ours, with the truth about whether the server got the request. */
export function exchangeError(endpoint: string, error: unknown, progress: Progress): MeshError {
  if (error instanceof MeshError) return error;
  const { name, code, message, syscall } = describe(error);
  const options = { cause: error };
  if (REFUSED_REQUEST.has(code))
    return new InvalidRequestError(`the request cannot be sent over HTTP/1.1: ${message}`, options);
  if (code === 'UND_ERR_REQ_CONTENT_LENGTH_MISMATCH') {
    return new RequestBodyError(`the request's body is not as long as its content-length: ${message}`, options);
  }
  if (name === 'HTTPParserError' || code === 'UND_ERR_HEADERS_OVERFLOW' || code === 'UND_ERR_RES_EXCEEDED_MAX_SIZE') {
    return new ProtocolError(endpoint, message, 'yes', options);
  }
  // undici says the same of a body that is cut short and of a head that makes no sense.
  if (code === 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH' && !progress.headed) {
    return new ProtocolError(endpoint, 'the head of the reply contradicts itself about its length', 'yes', options);
  }
  if (message === 'bad response') {
    return new ProtocolError(
      endpoint,
      'an answer that was not asked for (100 Continue, or bytes before a request)',
      'yes',
      options,
    );
  }
  if (message === 'bad upgrade') return new ProtocolError(endpoint, 'it switched protocols unasked', 'yes', options);
  if (progress.answered) return new ConnectionLostError(endpoint, `within the reply: ${message}`, 'yes', options);
  if (!progress.started)
    return new ConnectionLostError(endpoint, `before the request was sent: ${message}`, 'no', options);
  // The kernel took nothing of the only write that there was: it had learnt before that the peer is gone.
  if (syscall === 'write' && progress.writeBytes !== undefined && progress.writeBytes <= ATOMIC_WRITE_BYTES) {
    return new ConnectionLostError(endpoint, `before the request was sent: ${message}`, 'no', options);
  }
  return new ConnectionLostError(endpoint, `before any reply: ${message}`, 'maybe', options);
}

interface Described {
  readonly name: string;
  readonly code: string;
  readonly message: string;
  readonly syscall: string | undefined;
}

function describe(error: unknown): Described {
  if (!(error instanceof Error)) return { name: '', code: '', message: String(error), syscall: undefined };
  const { code, syscall } = error as { code?: unknown; syscall?: unknown };
  return {
    name: error.name,
    code: typeof code === 'string' ? code : '',
    message: error.message === '' ? error.name : error.message,
    syscall: typeof syscall === 'string' ? syscall : undefined,
  };
}

import { deflate, gunzip, gzip, inflate } from 'node:zlib';

/** `grpc.default_compression_algorithm` by number, as every gRPC library has it. */
const ALGORITHMS = ['identity', 'deflate', 'gzip'] as const;
export type Encoding = (typeof ALGORITHMS)[number];

/** What we can read, for `grpc-accept-encoding`. */
export const ACCEPT_ENCODING = ALGORITHMS.join(',');

export const isEncoding = (name: unknown): name is Encoding => (ALGORITHMS as readonly unknown[]).includes(name);

/** The encoding for the channel option; identity when it is not set. Throws for a number that stands for none. */
export function encodingOption(value: unknown): Encoding {
  if (value === undefined) return 'identity';
  const name = typeof value === 'number' ? ALGORITHMS[value] : undefined;
  if (name === undefined) {
    throw new RangeError(
      `grpc.default_compression_algorithm: must be 0 (identity), 1 (deflate) or 2 (gzip), got ${String(value)}`,
    );
  }
  return name;
}

export type Coded = (error: Error | null, bytes: Buffer) => void;

export function compress(encoding: 'deflate' | 'gzip', message: Uint8Array, done: Coded): void {
  (encoding === 'gzip' ? gzip : deflate)(message, done);
}

/** Unpacks at most `maxBytes` (-1: no limit); a bomb ends in an error for which `isTooLarge` is true, before it is unpacked. */
export function decompress(encoding: 'deflate' | 'gzip', message: Uint8Array, maxBytes: number, done: Coded): void {
  (encoding === 'gzip' ? gunzip : inflate)(
    message,
    maxBytes === -1 ? {} : { maxOutputLength: Math.max(1, maxBytes) },
    done,
  );
}

export const isTooLarge = (error: Error): boolean => (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE';

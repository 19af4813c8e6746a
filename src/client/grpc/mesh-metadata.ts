import type { Metadata } from '@grpc/grpc-js';
import type { Priority } from '../../core/call.js';
import {
  CALL_POLICY_KEYS,
  type CallChoices,
  type CallPolicyOptions,
  narrowed,
  readCallPolicy,
} from '../../core/call-policy.js';
import { DecodeError, knownKeys, record, shown } from '../../core/decode.js';
import { PRIORITY_HEADER, parsePriority } from '../../core/mesh-headers.js';

/** What the caller of one gRPC method says of this call: as `init.mesh` of `mesh.fetch`. */
export interface GrpcCallOptions extends CallPolicyOptions {
  /** Whether the call may be sent twice. Default: what the method's `idempotency_level` says. */
  readonly idempotent?: boolean;
  /** Default: as the request being served, else `default`. */
  readonly priority?: Priority;
}

/** Where metadata carries them through interceptors, which know nothing of them: grpc-js keeps the object of a call's options as it is. */
const CHOICES = Symbol('inmesh');

type Options = ReturnType<Metadata['getOptions']> & { readonly [CHOICES]?: CallChoices };

const NO_CHOICES: CallChoices = { policy: undefined, fallback: undefined };

/**
 * Gives `metadata` along what the mesh is to do with the call: `client.get(request, meshMetadata(new Metadata(), { retry: false }), done)`. Over what the
 * client's own `mesh` options say, field by field. Returns the same metadata; throws DecodeError for what cannot be meant.
 */
export function meshMetadata<M extends Metadata>(metadata: M, options: GrpcCallOptions): M {
  const o = record(options, 'meshMetadata(metadata, options)');
  knownKeys(o, 'options', ['idempotent', 'priority', ...CALL_POLICY_KEYS]);
  const { idempotent, priority } = options;
  if (idempotent !== undefined && typeof idempotent !== 'boolean')
    throw new DecodeError('options.idempotent', `must be true or false, got ${shown(idempotent)}`);
  if (priority !== undefined) {
    if (parsePriority(priority) === undefined)
      throw new DecodeError('options.priority', `must be "high", "default" or "batch", got ${shown(priority)}`);
    metadata.set(PRIORITY_HEADER, priority);
  }
  const carried: Options = {
    ...metadata.getOptions(),
    ...(idempotent === undefined ? {} : { idempotentRequest: idempotent }),
    [CHOICES]: readCallPolicy(options, 'options'),
  };
  metadata.setOptions(carried);
  return metadata;
}

/** What holds for a call with these options of its metadata. */
export function choicesOf(client: CallChoices | undefined, options: Options): CallChoices {
  const own = options[CHOICES];
  if (own === undefined) return client ?? NO_CHOICES;
  return client === undefined ? own : narrowed(client, own);
}

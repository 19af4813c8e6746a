import type { Priority } from '../../core/call.js';
import { CALL_POLICY_KEYS, type CallChoices, type CallPolicyOptions, readCallPolicy } from '../../core/call-policy.js';
import { DecodeError, knownKeys, shown } from '../../core/decode.js';
import { parsePriority } from '../../core/mesh-headers.js';

/** What `fetch` takes beyond the standard. An object of `retry` or `hedge` is read once: make another to say something else. */
export interface MeshOptions extends CallPolicyOptions {
  /** Time limit of the call in milliseconds, to the end of the reply. Rejects with code DEADLINE_EXCEEDED. */
  readonly timeoutMs?: number;
  /** Whether the request may be sent twice. Default: what the method says (GET, HEAD, OPTIONS, PUT and DELETE may). */
  readonly idempotent?: boolean;
  /** How important the call is, here and at the servers that it comes to. Default: as the request being served, else `default`. */
  readonly priority?: Priority;
  /** The authority of the bootstrap that is asked for the host: what `xds://<it>/<host>` is for gRPC (gRFC A47). Default: the top level. */
  readonly xdsAuthority?: string;
}

/** The same, checked. */
export interface Said extends CallChoices {
  readonly timeoutMs: number | undefined;
  readonly idempotent: boolean | undefined;
  readonly priority: Priority | undefined;
  readonly xdsAuthority: string | undefined;
}

export const NOTHING_SAID: Said = Object.freeze({
  timeoutMs: undefined,
  idempotent: undefined,
  priority: undefined,
  xdsAuthority: undefined,
  policy: undefined,
  fallback: undefined,
});

const KEYS: readonly string[] = [
  'timeoutMs',
  'idempotent',
  'priority',
  'xdsAuthority',
  ...CALL_POLICY_KEYS,
] satisfies readonly (keyof MeshOptions)[];

/** `init.mesh`; a TypeError for what is not known or cannot be meant, as a slip of the finger would leave a call without its limit. */
export function readMesh(given: MeshOptions | undefined): Said {
  if (given === undefined) return NOTHING_SAID;
  if (typeof given !== 'object' || given === null) throw new TypeError(`mesh must be an object, got ${shown(given)}`);
  const { timeoutMs, idempotent, priority, xdsAuthority } = given;
  const { policy, fallback } = readPolicy(given);
  return {
    timeoutMs: readTimeout(timeoutMs),
    idempotent: readOfType('boolean', idempotent, 'mesh.idempotent must be true or false'),
    priority: readPriority(priority),
    xdsAuthority: readOfType('string', xdsAuthority, 'mesh.xdsAuthority must be a string'),
    policy,
    fallback,
  };
}

function readPolicy(given: MeshOptions): CallChoices {
  try {
    for (const key in given) if (!KEYS.includes(key)) knownKeys(given as Record<string, unknown>, 'mesh', KEYS);
    return readCallPolicy(given, 'mesh');
  } catch (cause) {
    throw cause instanceof DecodeError ? new TypeError(cause.message, { cause }) : cause;
  }
}

function readTimeout(given: unknown): number | undefined {
  if (given === undefined) return undefined;
  if (typeof given === 'number' && given > 0) return given;
  throw new TypeError(`mesh.timeoutMs must be a number of milliseconds above 0, got ${shown(given)}`);
}

function readOfType<T>(type: 'boolean' | 'string', given: T | undefined, rule: string): T | undefined {
  if (given === undefined || typeof given === type) return given;
  throw new TypeError(`${rule}, got ${shown(given)}`);
}

function readPriority(given: unknown): Priority | undefined {
  if (given === undefined) return undefined;
  const priority = parsePriority(given);
  if (priority !== undefined) return priority;
  throw new TypeError(`mesh.priority must be "high", "default" or "batch", got ${shown(given)}`);
}

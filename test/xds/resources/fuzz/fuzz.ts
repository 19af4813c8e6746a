import { inspect } from 'node:util';
import { seededRandom } from '../../../../src/core/random.js';
import {
  CLUSTER,
  ENDPOINT,
  LISTENER,
  type Resource,
  type ResourceType,
  ROUTE,
} from '../../../../src/core/resources.js';
import { runToEnd } from '../../../../src/core/steps.js';
import { ResourceError } from '../../../../src/xds/resources/message.js';
import type { Codec } from '../../../../src/xds/wire/codec.js';
import { CodecError } from '../../../../src/xds/wire/error.js';
import { messageName } from '../../../../src/xds/wire/names.js';
import { decodeNow } from '../../../support/decoders.js';
import { messageType } from '../../wire/schema.js';
import { checkModel } from './check-model.js';
import { assignment, cluster } from './generate-clusters.js';
import { clientListener, serverListener } from './generate-listeners.js';
import { routeConfiguration } from './generate-routes.js';
import { Make } from './make.js';
import { mutateBytes, mutateMessage } from './mutate.js';
import { NAME, Served } from './serve.js';

/** For `scripts/fuzz.mjs`, which has no other way to the sources. */
export { loadCodec } from '../../../../src/xds/wire/codec.js';

export interface FuzzOptions {
  readonly codec: Codec;
  readonly seed: number;
  /** Mutated resources to make. */
  readonly count: number;
  /** The first one to make; the others before it are left out. Default 0. */
  readonly from?: number;
  readonly progress?: (done: FuzzReport) => void;
}

export interface FuzzReport {
  made: number;
  accepted: number;
  /** By the codec: bytes that are no such message. */
  malformed: number;
  /** By a decoder. */
  refused: number;
  /** Calls made to what was accepted. */
  calls: number;
}

const KINDS: readonly { readonly type: ResourceType; readonly make: (make: Make) => Resource }[] = [
  { type: LISTENER, make: (make) => clientListener(make, NAME) },
  { type: LISTENER, make: (make) => serverListener(make, NAME) },
  { type: ROUTE, make: (make) => routeConfiguration(make, NAME) },
  { type: ROUTE, make: (make) => routeConfiguration(make, NAME) },
  { type: CLUSTER, make: (make) => cluster(make, NAME) },
  { type: CLUSTER, make: (make) => cluster(make, NAME) },
  { type: ENDPOINT, make: (make) => assignment(make, NAME) },
];

/** Resources that are served at once before it is looked at how that ended. */
const BATCH = 32;
/** How many of a hundred mutants have bytes changed, are not encoded at all, and are not mutated at all (those must be accepted). */
const BYTES = 15;
const PLAIN = 10;
const UNCHANGED = 5;

interface Input {
  readonly index: number;
  readonly type: ResourceType;
  /** Undefined: the plain object was given to the decoder. */
  readonly bytes: Uint8Array | undefined;
  readonly resource: Resource | undefined;
}

interface Accepted {
  readonly input: Input;
  readonly model: object;
}

/** The invariant is broken: what a control plane sent threw something else than a refusal, or threw later. */
export class FuzzFailure extends Error {
  override readonly name = 'FuzzFailure';
  constructor(input: Input, seed: number, cause: unknown) {
    const what =
      input.bytes === undefined ? `plain ${show(input.resource)}` : Buffer.from(input.bytes).toString('base64');
    super(`${String(cause)}\n--seed ${seed} --from ${input.index} --count 1\n${input.type}\n${what}`, { cause });
  }
}

/**
 * "Nothing that a control plane sends may throw outside the decoder." Makes valid resources, changes them, and sends each the whole way: bytes,
 * codec, decoder, tracker, router, calls. Throws a FuzzFailure at the first that breaks the rule.
 */
export async function fuzz({ codec, seed, count, from = 0, progress }: FuzzOptions): Promise<FuzzReport> {
  const report: FuzzReport = { made: 0, accepted: 0, malformed: 0, refused: 0, calls: 0 };
  let batch: Accepted[] = [];
  let served = new Served(seed);
  const settle = async (): Promise<void> => {
    try {
      await served.settle();
    } catch (error) {
      // One of the batch; alone it can be told which.
      for (const accepted of batch) await serveAlone(accepted, seed);
      throw new Error(`one of ${batch.map(({ input }) => input.index).join(', ')} of seed ${seed}, but none alone`, {
        cause: error,
      });
    }
    report.calls += served.calls;
    served = new Served(seed + report.made);
    batch = [];
  };
  for (let index = from; index < from + count; index++) {
    const { input, unchanged } = mutant(index, seed, codec);
    report.made++;
    const model = decode(input, seed, codec, report);
    if (model !== undefined) {
      report.accepted++;
      try {
        checkModel(input.type, model);
        serve(served, { input, model });
      } catch (error) {
        throw new FuzzFailure(input, seed, error);
      }
      batch.push({ input, model });
    } else if (unchanged) throw new FuzzFailure(input, seed, new Error('a valid resource was refused'));
    if (batch.length === BATCH) {
      await settle();
      progress?.(report);
    }
  }
  await settle();
  return report;
}

function mutant(index: number, seed: number, codec: Codec): { readonly input: Input; readonly unchanged: boolean } {
  // Spread, so that neighbouring indexes of neighbouring seeds have nothing in common.
  const random = seededRandom(Math.imul(seed, 0x9e37_79b1) ^ Math.imul(index + 1, 0x85eb_ca6b));
  const { type, make } = KINDS[index % KINDS.length] as (typeof KINDS)[number];
  const resource = make(new Make(random)) as Record<string, unknown>;
  const dice = random.int(100);
  const unchanged = dice < UNCHANGED;
  const changeBytes = !unchanged && dice < UNCHANGED + BYTES;
  const message = messageType(messageName(type));
  if (!unchanged && !changeBytes) mutateMessage(message, resource, random, random.int(3) > 0 ? 1 : 2 + random.int(2));
  if (dice >= 100 - PLAIN) return { input: { index, type, bytes: undefined, resource }, unchanged };
  let bytes: Uint8Array;
  try {
    bytes = codec.encodeResource(type, resource);
  } catch (error) {
    if (!(error instanceof CodecError)) throw new FuzzFailure({ index, type, bytes: undefined, resource }, seed, error);
    // No wire can carry it; embedded configuration could.
    return { input: { index, type, bytes: undefined, resource }, unchanged };
  }
  return {
    input: { index, type, bytes: changeBytes ? mutateBytes(bytes, random) : bytes, resource: undefined },
    unchanged,
  };
}

function decode(input: Input, seed: number, codec: Codec, report: FuzzReport): object | undefined {
  const { type, bytes } = input;
  try {
    const resource = bytes === undefined ? input.resource : runToEnd(codec.decodeResourceSteps(type, bytes));
    return decodeNow(type, resource as Resource, NAME);
  } catch (error) {
    if (error instanceof CodecError) report.malformed++;
    else if (error instanceof ResourceError) report.refused++;
    else throw new FuzzFailure(input, seed, error);
    return undefined;
  }
}

function serve(served: Served, { input, model }: Accepted): void {
  served.serve({ type: input.type, model } as Parameters<Served['serve']>[0]);
}

async function serveAlone(accepted: Accepted, seed: number): Promise<void> {
  for (let again = 0; again < 20; again++) {
    const served = new Served(seed + again);
    try {
      serve(served, accepted);
      await served.settle();
    } catch (error) {
      throw new FuzzFailure(accepted.input, seed, error);
    }
  }
}

function show(resource: unknown): string {
  return inspect(resource, { depth: 20, breakLength: Number.POSITIVE_INFINITY, maxStringLength: 200 });
}

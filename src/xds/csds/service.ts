import type {
  handleBidiStreamingCall,
  handleUnaryCall,
  MethodDefinition,
  ServerDuplexStream,
  UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { type Clock, systemClock } from '../../core/clock.js';
import type { ResourcesDump } from '../../core/resources.js';
import { Slices } from '../../core/steps.js';
import { CodecError, loadCodec } from '../wire/index.js';
import { encodeClientStatus } from './response.js';

const SERVICE = 'envoy.service.status.v3.ClientStatusDiscoveryService';
const REQUEST = 'envoy.service.status.v3.ClientStatusRequest';

const INVALID_ARGUMENT = 3;
const INTERNAL = 13;

/** Bytes on both sides: the schema is loaded when somebody asks, and not when the service is added. */
type CsdsMethod = MethodDefinition<Buffer, Buffer>;

export interface CsdsDefinition {
  readonly [method: string]: CsdsMethod;
  readonly StreamClientStatus: CsdsMethod;
  readonly FetchClientStatus: CsdsMethod;
}

export interface CsdsImplementation extends UntypedServiceImplementation {
  readonly StreamClientStatus: handleBidiStreamingCall<Buffer, Buffer>;
  readonly FetchClientStatus: handleUnaryCall<Buffer, Buffer>;
}

/**
 * The Client Status Discovery Service (gRFC A40) over what `dumps` says at the time of each request: `server.addService(...csdsService(dumps))`
 * with a grpc-js server. v3 only: "CSDS client requesting for v2 service will get UNIMPLEMENTED error".
 */
export function csdsService(
  dumps: () => readonly ResourcesDump[],
  clock: Clock = systemClock,
): [CsdsDefinition, CsdsImplementation] {
  const answer = (request: Buffer): Promise<Buffer> => clientStatus(request, dumps, clock);
  return [
    { StreamClientStatus: method('StreamClientStatus', true), FetchClientStatus: method('FetchClientStatus', false) },
    {
      StreamClientStatus: (call) => answerEach(call, answer),
      FetchClientStatus(call, callback) {
        answer(call.request).then(
          (response) => callback(null, response),
          (error: StatusError) => callback(error),
        );
      },
    },
  ];
}

/** "this is not a watch-style API" - A40: an answer for each request, in order; the next is read once the last is on its way. */
function answerEach(call: ServerDuplexStream<Buffer, Buffer>, answer: (request: Buffer) => Promise<Buffer>): void {
  // A paused stream tells of its end all the same, once nothing is left in it.
  let answering = false;
  let ended = false;
  const next = (): void => {
    answering = false;
    if (ended) call.end();
    else call.resume();
  };
  call.on('data', (request: Buffer) => {
    answering = true;
    call.pause();
    answer(request).then(
      (response) => call.write(response, next),
      (error: StatusError) => call.emit('error', error),
    );
  });
  call.on('end', () => {
    ended = true;
    if (!answering) call.end();
  });
}

/** What a call fails with, in the form that grpc-js makes a status of. */
class StatusError extends Error {
  override readonly name = 'StatusError';
  constructor(
    readonly code: number,
    readonly details: string,
  ) {
    super(details);
  }
}

/** Rejects with a StatusError. */
async function clientStatus(bytes: Buffer, dumps: () => readonly ResourcesDump[], clock: Clock): Promise<Buffer> {
  try {
    const codec = await loadCodec();
    const request = codec.decodeMessage(REQUEST, bytes);
    // "return an INVALID_ARGUMENT if the CSDS implementation observe an non-empty Node Matcher" - A40
    if (Array.isArray(request['node_matchers']) && request['node_matchers'].length > 0) {
      throw new StatusError(
        INVALID_ARGUMENT,
        'node_matchers are not supported: this is one client, and it tells of itself',
      );
    }
    const options = { excludeContents: request['exclude_resource_contents'] === true };
    return await encodeClientStatus(codec, dumps(), options, new Slices(clock));
  } catch (error) {
    if (error instanceof StatusError) throw error;
    const what = error instanceof CodecError ? 'request or configuration cannot be coded' : 'failed';
    throw new StatusError(
      INTERNAL,
      `client status: ${what}: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

function method(name: string, stream: boolean): CsdsMethod {
  const asIs = (bytes: Buffer): Buffer => bytes;
  return {
    path: `/${SERVICE}/${name}`,
    requestStream: stream,
    responseStream: stream,
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  };
}

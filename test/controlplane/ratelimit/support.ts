import { Client, credentials, type ServiceError } from '@grpc/grpc-js';
import {
  RLS_METHOD,
  type RlsDescriptor,
  type RlsPair,
  type RlsRequest,
  type RlsResponse,
} from '../../../src/core/rls.js';
import { rateLimitDefinition } from '../../../src/controlplane/ratelimit/service.js';

/** `user=ann,path=/` as the entries of a descriptor. */
export const entriesOf = (text: string): readonly RlsPair[] =>
  text.split(',').map((it) => {
    const [key = '', value = ''] = it.split('=');
    return [key, value];
  });

export const descriptor = (text: string, more: Partial<RlsDescriptor> = {}): RlsDescriptor => ({
  entries: entriesOf(text),
  limit: undefined,
  hitsAddend: undefined,
  ...more,
});

/** Asks for descriptors as `user=ann,path=/`, each counted once. */
export const requestOf = (domain: string, ...descriptors: readonly (string | RlsDescriptor)[]): RlsRequest => ({
  domain,
  descriptors: descriptors.map((it) => (typeof it === 'string' ? descriptor(it) : it)),
  hitsAddend: 0,
});

/** A client of grpc-js, as a stranger would be one. */
export class RlsClient {
  readonly #client: Client;

  constructor(port: number) {
    this.#client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  }

  ask(request: RlsRequest): Promise<RlsResponse> {
    const { requestSerialize, responseDeserialize } = rateLimitDefinition.shouldRateLimit;
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        RLS_METHOD,
        requestSerialize,
        responseDeserialize,
        request,
        (error: ServiceError | null, response?: RlsResponse) => {
          if (error === null) resolve(response as RlsResponse);
          else reject(error);
        },
      );
    });
  }

  close(): void {
    this.#client.close();
  }
}

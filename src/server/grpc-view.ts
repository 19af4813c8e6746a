import type { Metadata } from '@grpc/grpc-js';
import type { Protocol, Scheme } from '../core/call.js';
import { type HeaderFields, headerFields } from '../core/headers.js';
import type { Source } from '../routing/request.js';
import { type Peer, peerAddress } from './downstream.js';
import type { PeekedBody } from './peek-body.js';
import { grpcPeek } from './peek-grpc.js';
import { sourceOf } from './tls/carrier.js';
import type { InboundView } from './view.js';

/** A gRPC call as routes and policies see it. Metadata is read when somebody asks for a header. */
export class GrpcView implements InboundView {
  readonly protocol: Protocol = 'grpc';
  readonly scheme: Scheme = 'http';
  readonly method = 'POST';
  #headers: HeaderFields | undefined;

  constructor(
    readonly path: string,
    readonly host: string,
    private readonly metadata: Metadata,
    private readonly from: Peer,
    private readonly connection: object | undefined,
    private readonly call: object,
  ) {}

  /** Undefined: nobody can. */
  get peek(): ((maxBytes: number) => Promise<PeekedBody>) | undefined {
    return grpcPeek(this.call);
  }

  get source(): Source | undefined {
    return sourceOf(this.connection);
  }

  get raw(): object {
    return this.metadata;
  }

  get peer(): string | undefined {
    return peerAddress(this.from);
  }

  get headers(): HeaderFields {
    this.#headers ??= textFields(this.metadata);
    return this.#headers;
  }
}

/** Metadata as header fields. Binary ones are invisible to routes (gRFC A28), and say nothing to the mesh. */
export function textFields(metadata: Metadata): HeaderFields {
  const fields = headerFields();
  for (const name of Object.keys(metadata.getMap())) {
    const values = metadata.get(name).filter((value): value is string => typeof value === 'string');
    if (values.length > 0) fields[name] = values;
  }
  return fields;
}

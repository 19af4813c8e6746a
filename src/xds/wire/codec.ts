import type { Resource } from '../../core/resources.js';
import type { Steps } from '../../core/steps.js';
import { decodeMessage, decodeMessageSteps, type DecodeOptions } from './decode.js';
import { encodeMessage } from './encode.js';
import { CodecError } from './error.js';
import { messageName, readNameField } from './names.js';
import { type Outline, readOutline } from './outline.js';
import { type DescriptorNode, type MessageSchema, Schema } from './schema.js';

/** Between protobuf bytes and the plain objects of `core/resources.ts`. Every method throws CodecError and nothing else. */
export class Codec {
  constructor(private readonly schema: Schema) {}

  /** True when the schema has the message that `typeUrl` names, so that an Any of it is unfolded. */
  knows(typeUrl: string): boolean {
    return this.schema.message(messageName(typeUrl)) !== undefined;
  }

  /** The message that `typeUrl` names, without an '@type' of its own. */
  decodeResource(typeUrl: string, bytes: Uint8Array): Resource {
    return decodeMessage(this.schema, this.#type(typeUrl), bytes);
  }

  /**
   * The same, with pauses: one resource may be megabytes long. A small one has none. What it carries of types that the schema does not know is
   * a view of `bytes`: it may be as long as they are.
   */
  decodeResourceSteps(typeUrl: string, bytes: Uint8Array): Steps<Resource> {
    return decodeMessageSteps(this.schema, this.#type(typeUrl), bytes, { views: true });
  }

  encodeResource(typeUrl: string, resource: Resource): Uint8Array<ArrayBuffer> {
    return encodeMessage(this.schema, this.#type(typeUrl), resource);
  }

  /**
   * The resource's own name, read without the rest: so that a resource nobody asked for costs nothing and cannot do harm. Listener,
   * RouteConfiguration, Cluster (`name`) and ClusterLoadAssignment (`cluster_name`) all have it in field 1.
   */
  resourceName(typeUrl: string, bytes: Uint8Array): Steps<string> {
    return readNameField(this.#type(typeUrl).fullName, bytes);
  }

  /** Any message by its full name; `rawAny` leaves what it carries packed. */
  decodeMessage(fullName: string, bytes: Uint8Array, options?: DecodeOptions): Readonly<Record<string, unknown>> {
    return decodeMessage(this.schema, this.#type(fullName), bytes, options);
  }

  /** The same, with pauses. */
  decodeMessageSteps(
    fullName: string,
    bytes: Uint8Array,
    options?: DecodeOptions,
  ): Steps<Readonly<Record<string, unknown>>> {
    return decodeMessageSteps(this.schema, this.#type(fullName), bytes, options);
  }

  /** Strings and lists of a message, without going into it: for a response that may be as large as memory allows. */
  outline(fullName: string, bytes: Uint8Array): Steps<Outline> {
    return readOutline(this.#type(fullName), bytes);
  }

  encodeMessage(fullName: string, message: object): Uint8Array<ArrayBuffer> {
    return encodeMessage(this.schema, this.#type(fullName), message);
  }

  #type(name: string): MessageSchema {
    const type = this.schema.message(messageName(name));
    if (type === undefined)
      throw new CodecError('', `type "${name}" is not in the schema: add it to scripts/gen-protos.config.mjs`);
    return type;
  }
}

let loading: Promise<Codec> | undefined;

/** Loads the descriptor at first use; afterwards the same codec for everybody. */
export function loadCodec(): Promise<Codec> {
  loading ??= import('../gen/descriptor.json', { with: { type: 'json' } }).then(
    (module) => new Codec(new Schema(module.default as unknown as DescriptorNode)),
  );
  return loading;
}

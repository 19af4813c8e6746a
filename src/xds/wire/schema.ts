/**
 * The schema as the codec walks it. Made from `gen/descriptor.json` type by type, when a type is first met: a process that decodes
 * five kinds of message pays for five, not for three hundred.
 */

export type ScalarType =
  | 'string'
  | 'bytes'
  | 'bool'
  | 'double'
  | 'float'
  | 'int32'
  | 'int64'
  | 'uint32'
  | 'uint64'
  | 'sint32'
  | 'sint64'
  | 'fixed32'
  | 'fixed64'
  | 'sfixed32'
  | 'sfixed64';

export interface EnumSchema {
  readonly kind: 'enum';
  readonly fullName: string;
  readonly byName: ReadonlyMap<string, number>;
  readonly byNumber: ReadonlyMap<number, string>;
}

export interface MessageSchema {
  readonly kind: 'message';
  readonly fullName: string;
  /** In order of field number. */
  readonly fields: readonly FieldSchema[];
  readonly byNumber: ReadonlyMap<number, FieldSchema>;
  readonly byName: ReadonlyMap<string, FieldSchema>;
  /** An `Any` is unfolded where it stands, so the codec treats it apart. */
  readonly isAny: boolean;
}

export interface FieldSchema {
  readonly name: string;
  readonly number: number;
  readonly repeated: boolean;
  /** Set for `map<key, …>`; the field's own type is then that of the values. */
  readonly mapKey: ScalarType | undefined;
  /** The other fields of the same oneof: set one, and they are gone. */
  readonly rivals: readonly string[];
  /** The scalar's name, or the resolved message or enum. */
  readonly type: ScalarType | MessageSchema | EnumSchema;
}

/** The descriptor's JSON: protobufjs's format, as far as `scripts/gen-protos.mjs` writes it. */
export interface DescriptorNode {
  readonly nested?: Readonly<Record<string, DescriptorNode>>;
  readonly fields?: Readonly<Record<string, DescriptorField>>;
  readonly oneofs?: Readonly<Record<string, { readonly oneof: readonly string[] }>>;
  readonly values?: Readonly<Record<string, number>>;
}
interface DescriptorField {
  readonly type: string;
  readonly id: number;
  readonly rule?: string;
  readonly keyType?: string;
}

const SCALARS: ReadonlySet<string> = new Set<ScalarType>([
  'string',
  'bytes',
  'bool',
  'double',
  'float',
  'int32',
  'int64',
  'uint32',
  'uint64',
  'sint32',
  'sint64',
  'fixed32',
  'fixed64',
  'sfixed32',
  'sfixed64',
]);

export class Schema {
  readonly #types = new Map<string, MessageSchema | EnumSchema | undefined>();

  constructor(private readonly root: DescriptorNode) {}

  /** The message of this full name, e.g. `envoy.config.cluster.v3.Cluster`; undefined when the schema has none. */
  message(fullName: string): MessageSchema | undefined {
    const type = this.#type(fullName);
    return type?.kind === 'message' ? type : undefined;
  }

  #type(fullName: string): MessageSchema | EnumSchema | undefined {
    if (this.#types.has(fullName)) return this.#types.get(fullName);
    const node = this.#node(fullName);
    // Names come from the wire: only those that exist are remembered, so the map stays as small as the schema.
    if (node?.values !== undefined) return this.#enum(fullName, node.values);
    if (node?.fields !== undefined) return this.#message(fullName, node.fields, node.oneofs ?? {});
    return undefined;
  }

  #node(fullName: string): DescriptorNode | undefined {
    let node: DescriptorNode | undefined = this.root;
    for (const part of fullName.split('.')) {
      const nested: DescriptorNode['nested'] = node.nested;
      node = nested !== undefined && Object.hasOwn(nested, part) ? nested[part] : undefined;
      if (node === undefined) return undefined;
    }
    return node;
  }

  #enum(fullName: string, values: Readonly<Record<string, number>>): EnumSchema {
    const byName = new Map(Object.entries(values));
    const byNumber = new Map<number, string>();
    // Of aliases the first one stands, as in protobuf's JSON form.
    for (const [name, number] of byName) if (!byNumber.has(number)) byNumber.set(number, name);
    const type: EnumSchema = { kind: 'enum', fullName, byName, byNumber };
    this.#types.set(fullName, type);
    return type;
  }

  #message(
    fullName: string,
    json: NonNullable<DescriptorNode['fields']>,
    oneofs: NonNullable<DescriptorNode['oneofs']>,
  ): MessageSchema {
    const fields: FieldSchema[] = [];
    const byNumber = new Map<number, FieldSchema>();
    const byName = new Map<string, FieldSchema>();
    const type: MessageSchema = {
      kind: 'message',
      fullName,
      fields,
      byNumber,
      byName,
      isAny: fullName === 'google.protobuf.Any',
    };
    // Before its fields: messages contain themselves.
    this.#types.set(fullName, type);
    const groups = Object.values(oneofs).map((group) => group.oneof);
    for (const [name, { id, type: typeName, rule, keyType }] of Object.entries(json)) {
      fields.push(
        new Field(name, id, rule === 'repeated', keyType as ScalarType | undefined, rivalsOf(name, groups), () =>
          this.#named(typeName),
        ),
      );
    }
    fields.sort((a, b) => a.number - b.number);
    for (const field of fields) {
      byNumber.set(field.number, field);
      byName.set(field.name, field);
    }
    return type;
  }

  #named(typeName: string): FieldSchema['type'] {
    if (SCALARS.has(typeName)) return typeName as ScalarType;
    const type = this.#type(typeName);
    if (type === undefined) throw new Error(`xds/gen/descriptor.json lacks ${typeName}: run npm run gen`);
    return type;
  }
}

/** Resolves its type at first use, so that making one message's schema does not make all that it could hold. */
class Field implements FieldSchema {
  #type: FieldSchema['type'] | undefined;
  constructor(
    readonly name: string,
    readonly number: number,
    readonly repeated: boolean,
    readonly mapKey: ScalarType | undefined,
    readonly rivals: readonly string[],
    private readonly resolve: () => FieldSchema['type'],
  ) {}
  get type(): FieldSchema['type'] {
    this.#type ??= this.resolve();
    return this.#type;
  }
}

function rivalsOf(name: string, groups: readonly (readonly string[])[]): readonly string[] {
  return groups.find((group) => group.includes(name))?.filter((other) => other !== name) ?? [];
}

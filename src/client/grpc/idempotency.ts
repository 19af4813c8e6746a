/** As much of a generated client class as is read: grpc-js's own and proto-loader's have the methods' definitions on them. */
interface DescribedClass {
  readonly service?: Readonly<Record<string, DescribedMethod>>;
}

interface DescribedMethod {
  readonly path?: unknown;
  /** proto-loader has the options as they stand in the proto file, ts-proto's generic definitions in camel case; protoc's plugin has none. */
  readonly options?: { readonly idempotency_level?: unknown; readonly idempotencyLevel?: unknown } | undefined;
}

const SAFE_TO_REPEAT = new Set<unknown>(['NO_SIDE_EFFECTS', 'IDEMPOTENT']);

/** Paths of the methods whose `idempotency_level` says that they may be called twice (google/protobuf/descriptor.proto, `MethodOptions`). */
export function idempotentMethods(ClientClass: unknown): ReadonlySet<string> {
  const { service } = ClientClass as DescribedClass;
  const paths = new Set<string>();
  if (typeof service !== 'object' || service === null) return paths;
  for (const { path, options } of Object.values(service)) {
    const level = options?.idempotency_level ?? options?.idempotencyLevel;
    if (typeof path === 'string' && SAFE_TO_REPEAT.has(level)) paths.add(path);
  }
  return paths;
}

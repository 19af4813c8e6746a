export declare const LAYERS: Readonly<Record<string, readonly string[]>>;
export declare const INDEPENDENT_CHILDREN: readonly string[];
export declare const LAZY: { readonly entries: readonly string[]; readonly packages: readonly string[] };

/** XXH64 of the UTF-8 bytes of a text, as 64 bits; `seed` is 0 unless given. */
export type Hash64 = (text: string, seed?: bigint) => bigint;

let loaded: Hash64 | undefined;

/** XXH64 by xxhash-wasm, which is loaded when the first configuration needs it: 5 ms once, 0.1 µs a hash. */
export async function loadHash64(): Promise<Hash64> {
  if (loaded === undefined) {
    const { default: xxhash } = await import('xxhash-wasm');
    loaded = (await xxhash()).h64;
  }
  return loaded;
}

/** The hash, or a sentence on what should have loaded it. */
export function requireHash64(env: { readonly hash64?: Hash64 | undefined }, who: string): Hash64 {
  if (env.hash64 === undefined) {
    throw new Error(
      `balancer ${who} hashes with XXH64: set env.hash64 to what loadHash64() resolves to, before it is made`,
    );
  }
  return env.hash64;
}

const words = new DataView(new ArrayBuffer(8));

/** The upper 32 bits: 64 bits are compared several times faster as two numbers than as a bigint. */
export function highWord(hash: bigint): number {
  words.setBigUint64(0, hash);
  return words.getUint32(0);
}

/** The lower 32 bits. */
export function lowWord(hash: bigint): number {
  words.setBigUint64(0, hash);
  return words.getUint32(4);
}

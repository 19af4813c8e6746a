import { webcrypto } from 'node:crypto';

type Library = typeof import('@peculiar/x509');

let loaded: Promise<Library> | undefined;

/** @peculiar/x509 costs 115 ms and 18 MB to load: only who runs an authority does. Its dependency injection wants `Reflect.metadata` first. */
export function x509Library(): Promise<Library> {
  loaded ??= (async () => {
    await import('reflect-metadata');
    const library = await import('@peculiar/x509');
    library.cryptoProvider.set(webcrypto);
    return library;
  })();
  return loaded;
}

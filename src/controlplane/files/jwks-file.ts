import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { KeySet, MAX_JWKS_BYTES } from '../../identity/authn/key-set.js';

/** Why the keys of tokens could not be had from a file, as a server would read it from this folder; undefined: they can. */
export function jwksFileFault(path: string): string | undefined {
  try {
    KeySet.parse(bounded(path));
    return undefined;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return code === 'ENOENT' ? 'there is no such file' : message;
  }
}

/** So much of it as tells that it is too long. */
function bounded(path: string): string {
  const file = openSync(path, 'r');
  try {
    if (!fstatSync(file).isFile()) throw new Error('it is no file');
    const bytes = Buffer.alloc(MAX_JWKS_BYTES + 1);
    return bytes.toString('utf8', 0, readSync(file, bytes, 0, bytes.byteLength, 0));
  } finally {
    closeSync(file);
  }
}

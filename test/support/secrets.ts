import type { KeyObject } from 'node:crypto';
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';

/** Every form in which a private key could be told apart from noise. */
export interface Secret {
  readonly name: string;
  readonly bytes: Buffer;
}

/** The secret number itself, and the whole key, as bytes and as text: DER, PEM (without its line breaks too), base64, base64url, hex. */
export function secretsOf(key: KeyObject): Secret[] {
  const pkcs8 = key.export({ type: 'pkcs8', format: 'der' });
  const secret = Buffer.from(key.export({ format: 'jwk' }).d as string, 'base64url');
  const pem = key.export({ type: 'pkcs8', format: 'pem' }).toString().split('\n');
  const forms = (name: string, bytes: Buffer): Secret[] => [
    { name, bytes },
    { name: `${name} in hex`, bytes: Buffer.from(bytes.toString('hex')) },
    { name: `${name} in capital hex`, bytes: Buffer.from(bytes.toString('hex').toUpperCase()) },
    { name: `${name} in base64`, bytes: Buffer.from(bytes.toString('base64').replace(/=+$/, '').slice(0, -1)) },
    { name: `${name} in base64url`, bytes: Buffer.from(bytes.toString('base64url').slice(0, -1)) },
    { name: `${name} as a list of numbers`, bytes: Buffer.from([...bytes.subarray(0, 16)].join(',')) },
    {
      name: `${name} as Node shows bytes`,
      bytes: Buffer.from(
        bytes
          .toString('hex')
          .replace(/(..)(?!$)/g, '$1 ')
          .slice(0, 60),
      ),
    },
  ];
  return [
    ...forms('the secret number', secret),
    ...forms('the PKCS#8 key', pkcs8),
    // The first line of P-256 keys is much the same in all.
    { name: 'a line of its PEM', bytes: Buffer.from(pem[2] as string) },
  ];
}

/** Names of the secrets that are in it. */
export const found = (secrets: readonly Secret[], text: string | Buffer): string[] => {
  const haystack = Buffer.from(text);
  return secrets.filter(({ bytes }) => haystack.includes(bytes)).map(({ name }) => name);
};

/** The same of all the memory that a process of ours can write to; undefined where the system does not let us look (not Linux, hardened). */
export function foundInMemory(secrets: readonly Secret[], pid: number): Set<string> | undefined {
  const names = new Set<string>();
  let memory: number;
  try {
    memory = openSync(`/proc/${pid}/mem`, 'r');
  } catch {
    return undefined;
  }
  try {
    for (const [, from, to] of readFileSync(`/proc/${pid}/maps`, 'latin1').matchAll(/^([0-9a-f]+)-([0-9a-f]+) rw/gm)) {
      const [start, end] = [BigInt(`0x${from}`), BigInt(`0x${to}`)];
      const bytes = Buffer.alloc(Number(end - start));
      let length: number;
      try {
        length = readSync(memory, bytes, 0, bytes.length, start);
      } catch {
        // Not backed by memory.
        continue;
      }
      for (const name of found(secrets, bytes.subarray(0, length))) names.add(name);
    }
    return names;
  } finally {
    closeSync(memory);
  }
}

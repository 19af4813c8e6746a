import { readFile } from 'node:fs/promises';
import type { Clock } from '../../core/clock.js';
import type { Logger } from '../../core/log.js';
import type { JwksSource, JwtAuthentication, JwtProvider } from '../../core/model/authentication.js';
import type { Verifiers } from './authenticator.js';
import { Keys } from './keys.js';
import { Verifier } from './verifier.js';

/** Asks for a document. Rejects when there is none within the time, or it is longer. */
export type FetchText = (uri: string, timeoutMs: number) => Promise<string>;

export interface AuthenticatorsEnv {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly fetch: FetchText;
}

/** Sources of keys that are held at once; beyond that the one that was made first goes, and is fetched again when it is needed. */
const MAX_SOURCES = 1_000;

/** What a process has for authentication: the keys of each issuer once, however many services and versions of configuration name them. */
export class Authenticators {
  readonly #keys = new Map<string, Keys>();
  /** By the provider as it was decoded, and by what it says. */
  readonly #verifiers = new Map<string, Verifier>();
  readonly #of = new WeakMap<JwtAuthentication, Verifiers>();

  constructor(private readonly env: AuthenticatorsEnv) {}

  /** Of all providers of a configuration. */
  verifiers(authentication: JwtAuthentication): Verifiers {
    let found = this.#of.get(authentication);
    if (found === undefined) {
      found = new Map(authentication.providers.map((provider) => [provider.name, this.#verifier(provider)]));
      this.#of.set(authentication, found);
    }
    return found;
  }

  /** A provider that did not change goes on with the tokens that it knows. */
  #verifier(provider: JwtProvider): Verifier {
    const key = JSON.stringify(provider);
    let found = this.#verifiers.get(key);
    if (found === undefined) {
      found = new Verifier(provider, this.#keysOf(provider), this.env.clock);
      bounded(this.#verifiers, key, found);
    }
    return found;
  }

  #keysOf({ jwks, keys: care }: JwtProvider): Keys {
    const key = JSON.stringify([jwks, care]);
    let found = this.#keys.get(key);
    if (found === undefined) {
      found = new Keys(nameOf(jwks), care, () => this.#read(jwks), this.env);
      bounded(this.#keys, key, found);
      // Before the first token comes.
      void found.soon();
    }
    return found;
  }

  #read(source: JwksSource): Promise<string> {
    switch (source.kind) {
      case 'inline':
        return Promise.resolve(source.text);
      case 'file':
        return readFile(source.path, 'utf8');
      case 'uri':
        return this.env.fetch(source.uri, source.timeoutMs);
    }
  }
}

function bounded<V>(map: Map<string, V>, key: string, value: V): void {
  if (map.size >= MAX_SOURCES) {
    for (const first of map.keys()) {
      map.delete(first);
      break;
    }
  }
  map.set(key, value);
}

const nameOf = (source: JwksSource): string =>
  source.kind === 'inline' ? 'the configuration' : source.kind === 'file' ? source.path : source.uri;

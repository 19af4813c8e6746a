import { DecodeError, record, string } from '../../core/decode.js';
import type { CallCredentialsConfig, ChannelCredentialsConfig } from './bootstrap.js';
import { type Json, list, optionalFile, optionalString } from './fields.js';
import { parseWorkloadId } from '../../identity/spiffe-id.js';
import { parseCertificateFiles } from './files.js';

/** Reads a `config`; called for a supported type only. "The "config" field is optional" - A27 */
type ConfigParser<T> = (config: Json, path: string) => T;

/** Channel credentials by type, gRFC A27 and A65. */
const CHANNEL: ReadonlyMap<string, ConfigParser<ChannelCredentialsConfig>> = new Map([
  ['insecure', (): ChannelCredentialsConfig => ({ kind: 'insecure' })],
  ['inmesh_identity', parseIdentity],
  ['tls', (config, path): ChannelCredentialsConfig => ({ kind: 'tls', ...parseCertificateFiles(config, path) })],
  // Outside of Google's cloud it is TLS with the system's roots. It has no config (gRFC A27).
  ['google_default', (): ChannelCredentialsConfig => ({ kind: 'tls', ...parseCertificateFiles({}, '') })],
] satisfies [string, ConfigParser<ChannelCredentialsConfig>][]);

/** Call credentials by type, gRFC A97. */
const CALL: ReadonlyMap<string, ConfigParser<CallCredentialsConfig>> = new Map([['jwt_token_file', parseJwtTokenFile]]);

/** A client that does not know the type goes on to the next, so that one bootstrap may serve others as well. */
function parseIdentity(config: Json, path: string): ChannelCredentialsConfig {
  const serverId = optionalString(config, 'server_spiffe_id', path);
  if (serverId !== undefined) parseWorkloadId(serverId, `${path}.server_spiffe_id`);
  return { kind: 'identity', serverId };
}

/** "client will stop at the first type it supports" - A27 */
export function parseChannelCredentials(json: unknown, path: string): ChannelCredentialsConfig {
  const types: string[] = [];
  for (const entry of typed(list(json, path), path, CHANNEL)) {
    if (entry.parse !== undefined) return entry.parse(entry.config, entry.path);
    types.push(entry.type);
  }
  const found = types.length === 0 ? 'nothing' : types.join(', ');
  throw new DecodeError(path, `must offer one of ${[...CHANNEL.keys()].join(', ')}; got ${found}`);
}

/** "Client will apply all call creds types that it supports but will ignore any types that it does not support." - A97 */
export function parseCallCredentials(json: unknown, path: string): readonly CallCredentialsConfig[] {
  const found: CallCredentialsConfig[] = [];
  if (json === undefined) return found;
  for (const { parse, config, path: place } of typed(list(json, path), path, CALL)) {
    if (parse !== undefined) found.push(parse(config, place));
  }
  return found;
}

/** The entries of a list of `{ type, config }`, one at a time, so that what follows a hit is not looked at. */
function* typed<T>(entries: readonly unknown[], path: string, known: ReadonlyMap<string, ConfigParser<T>>) {
  for (const [i, entry] of entries.entries()) {
    const place = `${path}[${i}]`;
    const { type: name, config = {} } = record(entry, place);
    const type = string(name, `${place}.type`);
    const parse = known.get(type);
    // "if present, the config must pass whatever validation is appropriate" - A97. That of a type we lack is not ours to judge.
    yield {
      type,
      parse,
      config: parse === undefined ? {} : record(config, `${place}.config`),
      path: `${place}.config`,
    };
  }
}

/** "Path to JWT token file.  Required." - A97 */
function parseJwtTokenFile(config: Json, path: string): CallCredentialsConfig {
  const file = optionalFile(config, 'jwt_token_file', path);
  if (file === undefined) throw new DecodeError(`${path}.jwt_token_file`, 'must be the path of a file, got undefined');
  return { kind: 'jwt_token_file', file };
}

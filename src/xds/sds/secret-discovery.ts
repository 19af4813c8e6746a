import type { Clock } from '../../core/clock.js';
import { IdentityError } from '../../core/errors.js';
import type { Secret, SecretWatch, SecretWatcher } from '../../core/identity.js';
import type { Random } from '../../core/random.js';
import { SECRET } from '../../core/resources.js';
import { VERSION } from '../../core/version.js';
import type { DuplexRpc, RpcConnection, RpcError } from '../../identity/rpc/connection.js';
import { KeptStream } from '../../identity/rpc/kept-stream.js';
import { secret } from '../resources/secret.js';
import { type Codec, loadCodec } from '../wire/codec.js';
import type { DiscoveryRequest, DiscoveryResponse, RawAny } from '../wire/messages.js';

const PATH = '/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets';
const REQUEST = 'envoy.service.discovery.v3.DiscoveryRequest';
const RESPONSE = 'envoy.service.discovery.v3.DiscoveryResponse';
const WRAPPER = 'type.googleapis.com/envoy.service.discovery.v3.Resource';
/** gRPC status code of a NACK. */
const INVALID_ARGUMENT = 3;
/** Longest reason in a NACK, in characters. */
const MAX_REASON = 1_000;

export interface SecretDiscoveryOptions {
  /** `Node.id`: who asks. */
  readonly node: string;
  readonly clock: Pick<Clock, 'after'>;
  readonly random: Random;
}

/** One secret that is watched. */
interface Watched {
  readonly watchers: Set<SecretWatcher>;
  /** The last good one; survives streams. */
  value: Secret | undefined;
  trouble: IdentityError | undefined;
}

/**
 * Secrets over a stream of their own (SDS, state of the world), from any server that has Envoy's SecretDiscoveryService: Istio's agent, SPIRE's, our control
 * plane. Not part of the xDS client, whose cache shows what it holds: of these nothing is kept but what they mean, and no dump has them.
 *
 * The stream is there while something is watched, and is opened again whenever it ends. A secret that cannot be used is refused, and the one before stands.
 */
export function secretsOver(connection: RpcConnection, options: SecretDiscoveryOptions): SecretWatch {
  const discovery = new SecretDiscovery(connection, options);
  return (name, watcher) => discovery.watch(name, watcher);
}

class SecretDiscovery {
  readonly #watched = new Map<string, Watched>();
  #codec: Codec | undefined;
  #stream: KeptStream | undefined;
  #rpc: DuplexRpc | undefined;
  /** Of the last response that was accepted; survives streams. */
  #version = '';
  /** Of the last response of this stream. */
  #nonce = '';
  #telling = false;

  constructor(
    private readonly connection: RpcConnection,
    private readonly options: SecretDiscoveryOptions,
  ) {}

  watch(name: string, watcher: SecretWatcher): () => void {
    const watched = this.#watched.get(name) ?? { watchers: new Set(), value: undefined, trouble: undefined };
    const isNew = watched.watchers.size === 0;
    this.#watched.set(name, watched);
    const own: SecretWatcher = {
      changed: (found) => watcher.changed(found),
      failed: (error) => watcher.failed(error),
    };
    watched.watchers.add(own);
    if (watched.value !== undefined) own.changed(watched.value);
    if (watched.trouble !== undefined) own.failed(watched.trouble);
    if (isNew) this.#changedNames();
    return () => {
      if (!watched.watchers.delete(own) || watched.watchers.size > 0) return;
      this.#watched.delete(name);
      this.#changedNames();
    };
  }

  /** Names come several at a time: the server is told once, after the caller is done. */
  #changedNames(): void {
    if (this.#telling) return;
    this.#telling = true;
    loadCodec().then(
      (codec) => {
        this.#telling = false;
        this.#codec = codec;
        if (this.#watched.size === 0) this.#close();
        else if (this.#stream === undefined) this.#open();
        else this.#request();
      },
      (error: Error) => {
        this.#telling = false;
        this.#fail(error.message);
      },
    );
  }

  #open(): void {
    this.#stream = new KeptStream({
      open: (ended) => {
        this.#nonce = '';
        const rpc = this.connection.duplex(PATH, { message: (bytes) => this.#response(bytes), ended });
        this.#rpc = rpc;
        this.#request();
        return rpc.cancel;
      },
      lost: (error: RpcError | undefined) => {
        this.#rpc = undefined;
        this.#fail(error === undefined ? 'the server ended the stream' : error.message);
        return true;
      },
      clock: this.options.clock,
      random: this.options.random,
    });
  }

  #close(): void {
    this.#stream?.close();
    this.#stream = undefined;
    this.#rpc = undefined;
    this.#version = '';
  }

  /** What is wanted, with an ACK of what came last; `problem`: with a NACK. */
  #request(problem?: string): void {
    const request: DiscoveryRequest = {
      ...(this.#version !== '' && { version_info: this.#version }),
      node: { id: this.options.node, user_agent_name: 'inmesh', user_agent_version: VERSION },
      resource_names: [...this.#watched.keys()],
      type_url: SECRET,
      ...(this.#nonce !== '' && { response_nonce: this.#nonce }),
      ...(problem !== undefined && {
        error_detail: { code: INVALID_ARGUMENT, message: problem.slice(0, MAX_REASON) },
      }),
    };
    this.#rpc?.send((this.#codec as Codec).encodeMessage(REQUEST, request));
  }

  #response(bytes: Uint8Array): void {
    const codec = this.#codec as Codec;
    let response: DiscoveryResponse;
    try {
      response = codec.decodeMessage(RESPONSE, bytes, { rawAny: true }) as unknown as DiscoveryResponse;
    } catch (error) {
      // Without a nonce there is nothing to refuse; what the stream says next may be readable.
      this.#fail(`a response that cannot be read: ${(error as Error).message}`);
      return;
    }
    this.#stream?.alive();
    this.#nonce = response.nonce ?? '';
    const problems = (response.resources ?? []).flatMap((packed) => this.#take(codec, packed) ?? []);
    if (problems.length === 0) this.#version = response.version_info ?? '';
    this.#request(problems.length === 0 ? undefined : problems.join('; '));
  }

  /** What is wrong with it; undefined: nothing, or nobody asked for it. */
  #take(codec: Codec, packed: RawAny): string | undefined {
    let name = '';
    try {
      const { type_url: type, value } = unwrapped(codec, packed);
      if (type !== SECRET) throw new Error(`is a ${type}, not a ${SECRET}`);
      const resource = codec.decodeResource(SECRET, value);
      name = String(resource['name'] ?? '');
      const watched = this.#watched.get(name);
      if (watched === undefined) return undefined;
      const found = secret(resource);
      watched.value = found;
      watched.trouble = undefined;
      for (const watcher of [...watched.watchers]) watcher.changed(found);
      return undefined;
    } catch (error) {
      const problem = `"${name.slice(0, 300)}": ${(error as Error).message}`;
      const watched = this.#watched.get(name);
      if (watched !== undefined) this.#tell(watched, new IdentityError(`secret ${problem}`, { cause: error }));
      return problem;
    }
  }

  #fail(problem: string): void {
    for (const watched of [...this.#watched.values()]) this.#tell(watched, new IdentityError(`secrets: ${problem}`));
  }

  #tell(watched: Watched, error: IdentityError): void {
    watched.trouble = error;
    for (const watcher of [...watched.watchers]) watcher.failed(error);
  }
}

/** xds_protocol: with a time to live a resource comes in a wrapper. Certificates have an end of their own. */
function unwrapped(codec: Codec, packed: RawAny): RawAny {
  if (packed.type_url !== WRAPPER) return packed;
  const { resource } = codec.decodeMessage(WRAPPER, packed.value, { rawAny: true }) as { readonly resource?: RawAny };
  if (resource === undefined) throw new Error('a wrapper without a resource');
  return resource;
}

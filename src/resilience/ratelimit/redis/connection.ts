import { type Backoff, fullJitter } from '../../../core/backoff.js';
import type { Clock } from '../../../core/clock.js';
import type { Logger } from '../../../core/log.js';
import type { Random } from '../../../core/random.js';
import { type OpenRedis, openRedis } from './ioredis.js';
import { describeTarget, type RedisTarget } from './options.js';
import type { Script } from './scripts.js';

export interface RedisEnv {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** A server that is away is tried again after 50 ms, then 100, … up to 2 s, each time a random part of that, so that a fleet does not come back as one. */
const RECONNECT: Backoff = { baseMs: 50, maxMs: 2_000 };

/** Decisions asked for and not yet answered, at most; one more is refused at once. At a wait of 50 ms that is 200,000 a second. */
const MAX_IN_FLIGHT = 10_000;

/** The node does not know the script, or (of a client that pipelines) sends us to another one: nothing was done, and the same may be sent again. */
const NOTHING_DONE = /^(NOSCRIPT|MOVED|ASK|TRYAGAIN)\b/;

/**
 * A master that has become a replica and kept its connections, or whose own master is away: for as long as the connection stays, so does the answer. Redis
 * before 7 says it within the message of a script's error.
 */
const NO_MASTER = /(^|-)(READONLY|MASTERDOWN)\b/;

/**
 * One Redis, or one cluster, for all the rules that name it. Connects when it is made, and again when the connection is lost, or leads to a master no more, until it is closed. While there
 * is none a command fails at once; only while the very first attempt is under way it waits for that. Who asks limits the wait.
 */
export class RedisConnection {
  readonly #target: RedisTarget;
  readonly #env: RedisEnv;
  /** For messages: `redis "name" (host:port)`. */
  readonly #where: string;
  #open: OpenRedis | undefined;
  /** Until the first attempt ended, one way or the other. */
  #first: Promise<void> | undefined;
  /** Why there is no connection. */
  #cause: Error | undefined;
  #attempts = 0;
  #inFlight = 0;
  #stopRetry: (() => void) | undefined;
  #closed = false;

  constructor(name: string, target: RedisTarget, env: RedisEnv) {
    this.#target = target;
    this.#env = env;
    this.#where = `redis "${name}" (${describeTarget(target)})`;
    if (target.kind === 'client') this.#open = { client: target.client, close() {} };
    else this.#first = this.#connect().finally(() => (this.#first = undefined));
  }

  get where(): string {
    return this.#where;
  }

  /** Runs the script on `key`; rejects when that cannot be done now. May take as long as Redis does. */
  run(script: Script, key: string, args: readonly (string | number)[]): Promise<readonly number[]> {
    if (this.#first !== undefined) return this.#first.then(() => this.#run(script, key, args));
    return this.#run(script, key, args);
  }

  close(): void {
    this.#closed = true;
    this.#stopRetry?.();
    this.#open?.close();
    this.#open = undefined;
  }

  #run(script: Script, key: string, args: readonly (string | number)[]): Promise<readonly number[]> {
    const open = this.#open;
    if (open === undefined) return Promise.reject(this.#absent());
    if (this.#inFlight >= MAX_IN_FLIGHT)
      return Promise.reject(new Error(`${this.#where}: ${MAX_IN_FLIGHT} decisions wait for it already`));
    this.#inFlight++;
    return this.#evaluate(open, script, this.#target.prefix + key, args).finally(() => this.#inFlight--);
  }

  async #evaluate(open: OpenRedis, { lua, sha }: Script, key: string, args: readonly (string | number)[]) {
    const { client } = open;
    let reply: unknown;
    try {
      reply = await client.evalsha(sha, 1, key, ...args);
    } catch (error) {
      if (!NOTHING_DONE.test((error as Error).message)) throw this.#failed(error, open);
      try {
        reply = await client.eval(lua, 1, key, ...args);
      } catch (again) {
        throw this.#failed(again, open);
      }
    }
    if (this.#attempts > 0 && this.#open === open) {
      this.#attempts = 0;
      this.#env.logger.info(`${this.#where}: connected again`);
    }
    if (!Array.isArray(reply)) throw new Error(`${this.#where}: answered a script with no list`);
    return reply as readonly number[];
  }

  #failed(cause: unknown, open: OpenRedis): Error {
    // Who gave the client sees to its connections.
    if (this.#open === open && this.#target.kind === 'servers' && NO_MASTER.test((cause as Error).message)) {
      open.close();
      this.#lost(cause as Error);
    }
    return new Error(`${this.#where}: ${(cause as Error).message}`, { cause });
  }

  #absent(): Error {
    if (this.#closed) return new Error(`${this.#where}: closed`);
    return new Error(`${this.#where}: not connected: ${this.#cause?.message ?? 'the connection ended'}`, {
      cause: this.#cause,
    });
  }

  async #connect(): Promise<void> {
    if (this.#target.kind === 'client') return;
    try {
      const open = await openRedis(this.#target, (cause) => this.#lost(cause));
      if (this.#closed) return open.close();
      // Whether it is of use, the first answer tells.
      this.#open = open;
    } catch (error) {
      this.#lost(error as Error);
    }
  }

  #lost(cause: Error | undefined): void {
    this.#open = undefined;
    this.#cause = cause;
    if (this.#closed) return;
    if (this.#attempts++ === 0) this.#env.logger.warn(`${this.#absent().message}; trying again until it is back`);
    const { clock, random } = this.#env;
    this.#stopRetry = clock.after(fullJitter(RECONNECT, this.#attempts, random), () => void this.#connect(), {
      background: true,
    });
  }
}

import type { BalancerConfig } from '../../core/model/balancer.js';
import type { Endpoint } from '../endpoints/endpoint.js';
import { random } from './random.js';
import type { BalancerEnv, Policy } from './policy.js';

/** Makes a policy of the configuration that came with its name: parsed JSON (`TypedStruct`, or the YAML's `config`). */
export type BalancerFactory = (config: unknown, env: BalancerEnv) => Policy;

const registered = new Map<string, BalancerFactory>();

/**
 * Makes an application's own policy available under `name`, in configuration that comes later (gRFC A52): xDS names it by the type URL of a
 * `TypedStruct`, YAML by `custom`. Returns the way to take it back. A factory that throws, and a policy that throws or picks
 * what it was not given, is reported, and the pick is made at random.
 *
 * @example
 * registerBalancer('example.org/nearest', (config, env) => {
 *   let list: readonly Endpoint[] = [];
 *   return {
 *     update(endpoints) {
 *       list = endpoints;
 *     },
 *     pick: () => list[0],
 *   };
 * });
 */
export function registerBalancer(name: string, factory: BalancerFactory): () => void {
  if (registered.has(name)) throw new Error(`registerBalancer: there is a balancer "${name}" already`);
  registered.set(name, factory);
  return () => {
    if (registered.get(name) === factory) registered.delete(name);
  };
}

export const isBalancerRegistered = (name: string): boolean => registered.has(name);

/** The application's policy, in a frame that keeps its mistakes from failing calls. */
export function custom({ name, config }: Extract<BalancerConfig, { kind: 'custom' }>, env: BalancerEnv): Policy {
  const factory = registered.get(name);
  if (factory === undefined) {
    throw new Error(`no balancer "${name}" is registered: call registerBalancer("${name}", …) before it is configured`);
  }
  const instead = random(env);
  let members: ReadonlySet<Endpoint> = new Set();
  let reported = false;
  const report = (problem: string, cause?: unknown): void => {
    // Once: a mistake in a pick is made for every call.
    if (!reported)
      env.logger?.error(`balancer "${name}" ${problem}; calls go to endpoints at random`, { error: String(cause) });
    reported = true;
  };
  const guarded = <T>(what: string, run: () => T): T | undefined => {
    try {
      return run();
    } catch (cause) {
      report(`throws in ${what}`, cause);
      return undefined;
    }
  };
  const policy = guarded('its factory', () => factory(config, env));
  return {
    update(endpoints, weights) {
      members = new Set(endpoints);
      instead.update(endpoints, weights);
      guarded('update', () => policy?.update(endpoints, weights));
    },
    pick(request) {
      const picked = guarded('pick', () => policy?.pick(request));
      if (picked !== undefined && members.has(picked)) return picked;
      if (picked !== undefined) report('picks an endpoint that it was not given');
      return instead.pick(request);
    },
    admits: (endpoint, request) => guarded('admits', () => policy?.admits?.(endpoint, request)) ?? true,
    close: () => guarded('close', () => policy?.close?.()),
  };
}

import type { SubsetConfig } from '../../core/model/balancer.js';
import type { Endpoint } from '../endpoints/endpoint.js';
import { ownWeight } from './locality.js';
import type { PickRequest, Policy } from './policy.js';

type Labels = Readonly<Record<string, string>>;

/** The endpoints of one subset; their policy is made when a call asks for it. */
class Subset {
  #endpoints: Endpoint[] = [];
  #weights: number[] = [];
  /** Those that may not be used now, as far as is known. */
  #others: Endpoint[] = [];
  #policy: Policy | undefined;

  constructor(private readonly make: () => Policy) {}

  /** Before an update: its policy stays, and with it what that knows. */
  clear(): void {
    this.#endpoints = [];
    this.#weights = [];
    this.#others = [];
  }

  /** `weight` undefined: it may not be used. */
  add(endpoint: Endpoint, weight: number | undefined): void {
    if (weight === undefined) this.#others.push(endpoint);
    else {
      this.#endpoints.push(endpoint);
      this.#weights.push(weight);
    }
  }

  updated(): void {
    if (this.#endpoints.length > 0) this.#policy?.update(this.#endpoints, this.#weights);
    // None may be used: then all are, as in the whole cluster; other endpoints would not be what the call asked for.
    else this.#policy?.update(this.#others, this.#others.map(ownWeight));
  }

  pick(request: PickRequest): Endpoint | undefined {
    return this.#opened().pick(request);
  }

  admits(endpoint: Endpoint, request: PickRequest): boolean {
    if (!this.#others.includes(endpoint) && !this.#endpoints.includes(endpoint)) return false;
    return this.#opened().admits?.(endpoint, request) ?? true;
  }

  close(): void {
    this.#policy?.close?.();
  }

  #opened(): Policy {
    if (this.#policy === undefined) {
      this.#policy = this.make();
      this.updated();
    }
    return this.#policy;
  }
}

/** Policies by subset; told of all endpoints of the priority before those that may be used. */
export interface SubsetPolicy extends Policy {
  configure(endpoints: readonly Endpoint[]): void;
}

/**
 * Endpoints by label, each subset under a policy of its own (Envoy `LbSubsetConfig`). A call gets the subset whose selector has exactly the labels it asks
 * for and whose endpoints have their values; when there is none, that selector's fallback, else the cluster's, which is for calls that ask for
 * nothing, too. A subset is there as long as it has an endpoint in the configuration, dead or alive: that its endpoints fail sends no call to
 * another version.
 */
export function subsets(config: SubsetConfig, make: () => Policy): SubsetPolicy {
  const selectors = config.selectors.map((selector) => ({ ...selector, keys: [...selector.keys].sort() }));
  const any = new Subset(make);
  const defaults = new Subset(make);
  let configured: readonly Endpoint[] = [];
  let byValues = new Map<string, Subset>();
  /** Where calls that ask for the same labels go; a route's are one object for all its calls. Void after an update. */
  let resolved = new WeakMap<Labels, { readonly subset: Subset | undefined }>();

  const fallback = (kind: SubsetConfig['fallback']): Subset | undefined =>
    kind === 'any' ? any : kind === 'default' ? defaults : undefined;
  const unlabelled = { subset: fallback(config.fallback) };

  const resolve = (labels: Labels): Subset | undefined => {
    const names = Object.keys(labels).sort();
    if (names.length === 0) return unlabelled.subset;
    const selector = selectors.findIndex(
      ({ keys }) => keys.length === names.length && keys.every((key, i) => key === names[i]),
    );
    const found = byValues.get(nameOf(selector, names, labels) ?? '');
    if (found !== undefined) return found;
    const { fallback: kind = config.fallback, fallbackKeys = [] } = selectors[selector] ?? {};
    if (kind !== 'keys') return fallback(kind);
    // "Perform the whole load balancing again" with some of the labels - Envoy. Fewer each time, so that it ends.
    const fewer = Object.fromEntries(
      names.filter((name) => fallbackKeys.includes(name)).map((name) => [name, labels[name] as string]),
    );
    return Object.keys(fewer).length < names.length ? resolve(fewer) : fallback(config.fallback);
  };

  const subsetFor = ({ subset: labels }: PickRequest): Subset | undefined => {
    if (labels === undefined) return unlabelled.subset;
    let found = resolved.get(labels);
    if (found === undefined) {
      found = { subset: resolve(labels) };
      resolved.set(labels, found);
    }
    return found.subset;
  };

  return {
    configure(endpoints) {
      configured = endpoints;
    },
    update(list, weights) {
      const before = byValues;
      byValues = new Map();
      resolved = new WeakMap();
      for (const subset of [any, defaults, ...before.values()]) subset.clear();
      const add = (endpoint: Endpoint, weight: number | undefined): void => {
        const { labels } = endpoint.config;
        any.add(endpoint, weight);
        if (matches(labels, config.defaultSubset)) defaults.add(endpoint, weight);
        for (const [selector, { keys }] of selectors.entries()) {
          const name = nameOf(selector, keys, labels);
          if (name === undefined) continue;
          const subset = byValues.get(name) ?? before.get(name) ?? new Subset(make);
          byValues.set(name, subset);
          subset.add(endpoint, weight);
        }
      };
      for (let i = 0; i < list.length; i++) add(list[i] as Endpoint, weights[i] as number);
      if (configured !== list) {
        const usable = new Set(list);
        for (const endpoint of configured) if (!usable.has(endpoint)) add(endpoint, undefined);
      }
      for (const [name, subset] of before) if (!byValues.has(name)) subset.close();
      for (const subset of [any, defaults, ...byValues.values()]) subset.updated();
    },
    pick: (request) => subsetFor(request)?.pick(request),
    admits: (endpoint, request) => subsetFor(request)?.admits(endpoint, request) ?? false,
    close() {
      for (const subset of [any, defaults, ...byValues.values()]) subset.close();
    },
  };
}

/** Of the subset that has these labels' values for these keys; undefined when a key is not there. */
function nameOf(selector: number, keys: readonly string[], labels: Labels): string | undefined {
  const name: (string | number)[] = [selector];
  for (const key of keys) {
    if (!Object.hasOwn(labels, key)) return undefined;
    name.push(labels[key] as string);
  }
  return JSON.stringify(name);
}

/** All of `wanted` is there; an empty one wants nothing. */
function matches(labels: Labels, wanted: Labels): boolean {
  for (const name of Object.keys(wanted))
    if (!Object.hasOwn(labels, name) || labels[name] !== wanted[name]) return false;
  return true;
}

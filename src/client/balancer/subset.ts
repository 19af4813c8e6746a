import type { SubsetConfig } from '../../core/model/cluster.js';
import type { Endpoint } from '../endpoints/endpoint.js';
import type { PickRequest, Policy } from './policy.js';

type Labels = Readonly<Record<string, string>>;

/** The endpoints of one subset; their policy is made when a call asks for it. */
class Subset {
  endpoints: Endpoint[] = [];
  weights: number[] = [];
  #policy: Policy | undefined;

  constructor(private readonly make: () => Policy) {}

  /** Before an update: its policy stays, and with it what that knows. */
  clear(): void {
    this.endpoints = [];
    this.weights = [];
  }

  add(endpoint: Endpoint, weight: number): void {
    this.endpoints.push(endpoint);
    this.weights.push(weight);
  }

  updated(): void {
    this.#policy?.update(this.endpoints, this.weights);
  }

  pick(request: PickRequest): Endpoint | undefined {
    if (this.#policy === undefined) {
      this.#policy = this.make();
      this.updated();
    }
    return this.#policy.pick(request);
  }

  close(): void {
    this.#policy?.close?.();
  }
}

/**
 * Endpoints by label, each subset under a policy of its own (Envoy `LbSubsetConfig`). A call gets the subset whose selector has exactly the labels it asks
 * for and whose endpoints have their values; when there is none, that selector's fallback, else the cluster's, which is for calls that ask for
 * nothing, too.
 */
export function subsets(config: SubsetConfig, make: () => Policy): Policy {
  const selectors = config.selectors.map(({ keys, fallback }) => ({ keys: [...keys].sort(), fallback }));
  const any = new Subset(make);
  const defaults = new Subset(make);
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
    const found = byValues.get(
      nameOf(
        selector,
        names.map((name) => labels[name] as string),
      ),
    );
    return found ?? fallback(selectors[selector]?.fallback ?? config.fallback);
  };

  return {
    update(list, weights) {
      const before = byValues;
      byValues = new Map();
      resolved = new WeakMap();
      for (const subset of [any, defaults, ...before.values()]) subset.clear();
      for (const [i, endpoint] of list.entries()) {
        const { labels } = endpoint.config;
        const weight = weights[i] as number;
        any.add(endpoint, weight);
        if (matches(labels, config.defaultSubset)) defaults.add(endpoint, weight);
        for (const [selector, { keys }] of selectors.entries()) {
          if (!keys.every((key) => Object.hasOwn(labels, key))) continue;
          const name = nameOf(
            selector,
            keys.map((key) => labels[key] as string),
          );
          const subset = byValues.get(name) ?? before.get(name) ?? new Subset(make);
          byValues.set(name, subset);
          subset.add(endpoint, weight);
        }
      }
      for (const [name, subset] of before) if (!byValues.has(name)) subset.close();
      for (const subset of [any, defaults, ...byValues.values()]) subset.updated();
    },
    pick(request) {
      const labels = request.subset;
      if (labels === undefined) return unlabelled.subset?.pick(request);
      let found = resolved.get(labels);
      if (found === undefined) {
        found = { subset: resolve(labels) };
        resolved.set(labels, found);
      }
      return found.subset?.pick(request);
    },
    close() {
      for (const subset of [any, defaults, ...byValues.values()]) subset.close();
    },
  };
}

const nameOf = (selector: number, values: readonly string[]): string => JSON.stringify([selector, ...values]);

/** All of `wanted` is there; an empty one wants nothing. */
function matches(labels: Labels, wanted: Labels): boolean {
  for (const name of Object.keys(wanted))
    if (!Object.hasOwn(labels, name) || labels[name] !== wanted[name]) return false;
  return true;
}

import type { EndpointConfig } from '../../core/model/endpoint.js';
import type { Endpoint } from './endpoint.js';

/** What an update of the endpoints was about. */
export interface MembersChange {
  /** New, or configured otherwise than before. */
  readonly changed: readonly Endpoint[];
  readonly removed: readonly Endpoint[];
  /** Priorities that any of them is of, or was. */
  readonly priorities: ReadonlySet<number>;
}

/**
 * The endpoints of a cluster, by key and in the order of the configuration. An update costs what differs: configurations of what did not change are
 * the same objects (`xds/resources/share.ts`), so that the equal beginnings and ends of two lists are passed over by a comparison each.
 */
export class Members {
  readonly byKey = new Map<string, Endpoint>();
  #configs: readonly EndpointConfig[] = [];
  #list: readonly Endpoint[] = [];

  /** Each once, though one that is configured twice, which only DNS and foreign control planes do, stands where it was named first. */
  get list(): readonly Endpoint[] {
    return this.#list;
  }

  /** Undefined: there is no difference. `configure` is told of endpoints that remain and whose configuration is another. */
  update(
    configs: readonly EndpointConfig[],
    make: (config: EndpointConfig) => Endpoint,
    configure: (endpoint: Endpoint, config: EndpointConfig) => void,
  ): MembersChange | undefined {
    const before = this.#configs;
    if (configs === before) return undefined;
    const list = this.#list;
    const aligned = list.length === before.length;
    const start = aligned ? equalStart(before, configs) : 0;
    const end = aligned ? equalEnd(before, configs, start) : 0;
    this.#configs = configs;
    if (aligned && start + end === before.length && before.length === configs.length) return undefined;
    const left = new Map<string, Endpoint>();
    for (const endpoint of list.slice(start, list.length - end)) left.set(endpoint.key, endpoint);
    const middle: Endpoint[] = [];
    let twice = false;
    const changed: Endpoint[] = [];
    const priorities = new Set<number>();
    for (const config of configs.slice(start, configs.length - end)) {
      let endpoint = left.get(config.key);
      if (endpoint === undefined) {
        if (this.byKey.has(config.key)) {
          twice = true;
          continue;
        }
        endpoint = make(config);
        this.byKey.set(config.key, endpoint);
        changed.push(endpoint);
        priorities.add(config.priority);
      } else {
        left.delete(config.key);
        if (endpoint.config !== config) {
          priorities.add(endpoint.config.priority).add(config.priority);
          configure(endpoint, config);
          changed.push(endpoint);
        }
      }
      middle.push(endpoint);
    }
    const removed = [...left.values()];
    for (const endpoint of removed) {
      this.byKey.delete(endpoint.key);
      priorities.add(endpoint.config.priority);
    }
    this.#list = twice
      ? [...new Set(configs.map(({ key }) => this.byKey.get(key) as Endpoint))]
      : [...list.slice(0, start), ...middle, ...list.slice(list.length - end)];
    return { changed, removed, priorities };
  }
}

function equalStart(a: readonly unknown[], b: readonly unknown[]): number {
  let at = 0;
  while (at < a.length && at < b.length && a[at] === b[at]) at++;
  return at;
}

function equalEnd(a: readonly unknown[], b: readonly unknown[], start: number): number {
  let count = 0;
  const most = Math.min(a.length, b.length) - start;
  while (count < most && a[a.length - 1 - count] === b[b.length - 1 - count]) count++;
  return count;
}

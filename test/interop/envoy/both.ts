import type { Resource } from '../../../src/core/resources.js';
import { listenerResource, resourceSet, routeResource, routerFilter } from '../../support/xds-resources.js';
import { Backends } from './backend.js';
import { arrived, Caller, type Outcome } from './client.js';
import { Envoy, envoyBinary } from './envoy.js';
import { OurSide } from './our-side.js';

/** One request. */
export interface Ask {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** One of two proxies that were given the same. */
export class Side {
  #calls = 0;

  constructor(
    readonly name: 'Envoy' | 'ours',
    private readonly caller: Caller,
    /** Where to send what asks for a table. */
    readonly port: (table: string) => number,
    private readonly backends: Backends,
    /** Resolves once what requests so far have brought about holds for the next. */
    readonly turn: () => Promise<void>,
  ) {}

  /** Sends a request under the name of a table, and says what came of it. */
  async ask(table: string, { method = 'GET', path = '/', headers = {} }: Ask = {}): Promise<Outcome> {
    const number = this.#calls++;
    const planned = { table, host: table, method, path, headers: Object.entries(headers) };
    const reply = await this.caller.call(planned, number);
    return { ...reply, arrived: arrived(this.backends, this.caller.id(number)) };
  }

  /** What has arrived by now of all that was asked: copies come when they come. */
  arrivals(): Outcome['arrived'] {
    return Array.from({ length: this.#calls }, (_, number) => arrived(this.backends, this.caller.id(number))).flat();
  }
}

/** An Envoy and our proxy with the same routes and clusters, in front of the same backends. */
export class Both {
  private constructor(
    readonly sides: readonly [Side, Side],
    private readonly end: () => Promise<void>,
  ) {}

  /** `tables`: routes for all hosts, by the name under which they are asked for. `clusters` for the ports of so many backends. */
  static async start(options: {
    readonly tables: Readonly<Record<string, readonly Resource[]>>;
    readonly backends: number;
    readonly clusters: (ports: readonly number[]) => readonly Resource[];
    /** Before the router. */
    readonly filters?: readonly Resource[];
  }): Promise<Both> {
    // The first never fails a call; here it takes none.
    const backends = await Backends.start(1 + options.backends);
    const closing: (() => Promise<void>)[] = [() => backends.close()];
    const end = async (): Promise<void> => {
      for (const close of closing.reverse()) await close();
    };
    try {
      const routes = Object.entries(options.tables).map(([name, list]) => routeResource(name, list));
      const clusters = options.clusters(backends.ports.slice(1));
      const filters = [...(options.filters ?? []), routerFilter];
      const listeners = routes.map(({ name }) =>
        listenerResource(String(name), String(name), { http_filters: filters }),
      );
      const ours = await OurSide.start(resourceSet({ lds: listeners, rds: routes, cds: clusters }));
      closing.push(() => ours.close());
      const envoy = await Envoy.start({ binary: envoyBinary as string, routes, clusters, filters });
      closing.push(() => envoy.close());
      const problems = [...ours.refusals.map(({ name, error }) => `${name}: ${error.message}`), ...envoy.reasons];
      if (problems.length > 0) throw new Error(problems.join('\n'));
      const side = (name: Side['name'], port: (table: string) => number, turn: () => Promise<void>): Side => {
        const caller = new Caller(name, port);
        closing.push(async () => caller.close());
        return new Side(name, caller, port, backends, turn);
      };
      const sides = [
        side(
          'Envoy',
          (table) => envoy.ports.get(table) as number,
          () => envoy.turn(),
        ),
        side(
          'ours',
          () => ours.proxy.port,
          async () => {},
        ),
      ] as const;
      return new Both(sides, end);
    } catch (error) {
      await end();
      throw error;
    }
  }

  /** The same of both, Envoy's first. */
  each<T>(ask: (side: Side) => Promise<T>): Promise<[T, T]> {
    return Promise.all(this.sides.map(ask)) as Promise<[T, T]>;
  }

  close(): Promise<void> {
    return this.end();
  }
}

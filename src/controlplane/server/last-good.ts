import type { Clock } from '../../core/clock.js';
import type { Logger } from '../../core/log.js';
import type { Meter } from '../../core/meter.js';
import { RESOURCE_TYPES, type ResourceSet } from '../../core/resources.js';
import { InconsistentSetError, shortType } from '../snapshot/consistency.js';
import { buildSnapshot, type EncodeResource, type Snapshot } from '../snapshot/snapshot.js';

/** The configuration that is served. Plain JSON. */
export interface ServedConfiguration {
  /** Hash of its content. */
  readonly version: string;
  /** ISO 8601, when it was taken over. */
  readonly since: string;
  /** How many resources of each type, by short name: `Cluster`, `ClusterLoadAssignment`, `Listener`, `RouteConfiguration`. */
  readonly resources: Readonly<Record<string, number>>;
  /** What works, but surely not as meant. */
  readonly warnings: readonly string[];
}

/** A configuration that was refused, while the one before goes on being served. */
export interface RefusedConfiguration {
  readonly since: string;
  /** Every mistake, one a line: `mesh.yaml:12:7 HTTPRoute/reviews spec.rules[0].name: must be …`. */
  readonly problems: readonly string[];
}

export interface LastGoodOptions {
  /** Where configurations come from, for log and meter: paths, or `update()`. */
  readonly source: string;
  readonly encode: EncodeResource;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly meter: Meter;
  /** Called for every configuration that differs from the one before. */
  readonly onChange: (snapshot: Snapshot) => void;
}

/** Problems that one line of the log carries; the admin page has all. */
const LOGGED_PROBLEMS = 20;

/** The gate for new configurations: a good one replaces the last, a bad one is remembered and changes nothing. */
export class LastGood {
  readonly #options: LastGoodOptions;
  #snapshot: Snapshot | undefined;
  #served: ServedConfiguration | undefined;
  #refused: RefusedConfiguration | undefined;

  constructor(options: LastGoodOptions) {
    this.#options = options;
  }

  get served(): ServedConfiguration | undefined {
    return this.#served;
  }

  get refused(): RefusedConfiguration | undefined {
    return this.#refused;
  }

  /** Throws InconsistentSetError, having refused the set, when its resources do not fit together. */
  accept(set: ResourceSet, warnings: readonly string[] = []): void {
    const { encode, source, logger, meter, onChange } = this.#options;
    const before = this.#snapshot;
    let snapshot: Snapshot;
    try {
      snapshot = buildSnapshot(set, encode, before);
    } catch (error) {
      this.refuse(error instanceof InconsistentSetError ? error.lines : [String(error)]);
      throw error;
    }
    this.#refused = undefined;
    for (const warning of warnings) logger.warn('configuration warning', { source, warning });
    if (snapshot.version === before?.version && this.#served !== undefined) {
      this.#served = { ...this.#served, warnings };
      return;
    }
    this.#snapshot = snapshot;
    const resources = Object.fromEntries(
      RESOURCE_TYPES.map((type) => [shortType(type), snapshot.types[type].resources.size]),
    );
    this.#served = { version: snapshot.version, since: this.#now(), resources, warnings };
    logger.info('configuration taken over', { source, version: snapshot.version, ...resources });
    meter.event({ kind: 'config:changed', source });
    onChange(snapshot);
  }

  refuse(problems: readonly string[]): void {
    const { source, logger, meter } = this.#options;
    this.#refused = { since: this.#now(), problems };
    logger.error(
      this.#served ? 'configuration refused; the last good one stays' : 'configuration refused; there is none to serve',
      {
        source,
        problems: problems.slice(0, LOGGED_PROBLEMS),
        problemCount: problems.length,
      },
    );
    meter.event({ kind: 'config:rejected', source, detail: problems[0] ?? '' });
  }

  #now(): string {
    return new Date(this.#options.clock.wallTime()).toISOString();
  }
}

import { ConfigUnavailableError, type MeshError } from '../../core/errors.js';
import type { RouteConfiguration } from '../../core/model/route.js';
import { ROUTE } from '../../core/resources.js';
import { Slot, type SlotOwner, type Trouble } from '../dependencies/slot.js';
import type { ResourceCache } from '../resource-cache.js';

/** The RouteConfigurations that a server's filter chains name, by name. */
export class RouteSlots {
  readonly #slots = new Map<string, Slot<typeof ROUTE>>();
  /** One error per trouble, so that an unchanged one is the same object. */
  readonly #errors = new WeakMap<Trouble, MeshError>();

  constructor(
    private readonly cache: ResourceCache,
    private readonly owner: SlotOwner,
  ) {}

  /** Watches those that are not watched yet. */
  want(names: Iterable<string>): void {
    for (const name of names) {
      if (this.#slots.has(name)) continue;
      const slot = new Slot(this.cache, ROUTE, this.owner);
      this.#slots.set(name, slot);
      slot.point(name);
    }
  }

  /** Ends the watches of all others. */
  keep(names: ReadonlySet<string>): void {
    for (const [name, slot] of this.#slots) {
      if (names.has(name)) continue;
      this.#slots.delete(name);
      slot.close();
    }
  }

  /** Whether loading was attempted for all: each has a value, or a reason why it has none. */
  settled(names: Iterable<string>): boolean {
    for (const name of names) if (this.known(name) === undefined) return false;
    return true;
  }

  /** Undefined while it is awaited. */
  known(name: string): RouteConfiguration | MeshError | undefined {
    const slot = this.#slots.get(name);
    return slot?.trouble === undefined ? slot?.value : this.#error(name, slot.trouble);
  }

  close(): void {
    this.keep(new Set());
  }

  #error(name: string, trouble: Trouble): MeshError {
    let error = this.#errors.get(trouble);
    if (error === undefined) {
      const { error: cause, reason } = trouble;
      error = new ConfigUnavailableError(`route configuration "${name}" cannot be used (${reason}): ${cause.message}`, {
        cause,
      });
      this.#errors.set(trouble, error);
    }
    return error;
  }
}

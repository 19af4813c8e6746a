import type { ResourceType, ResourceWatcher } from '../../core/resources.js';
import type { ResourceCache } from '../resource-cache.js';
import type { Models } from '../resources/decoders.js';
import { retain } from '../resources/share.js';

export type Trouble = { readonly error: Error; readonly reason: Parameters<ResourceWatcher['failed']>[1] };

export interface SlotOwner {
  /** `value` or `trouble` is another one. Not called for what is known at once when the slot is pointed at a name. */
  changed(): void;
  ambient(error: Error): void;
}

/** One resource that something depends on, and its state: nothing known yet, a value, or trouble. May be pointed at another name. */
export class Slot<T extends ResourceType> {
  #name: string | undefined;
  #value: Models[T] | undefined;
  #trouble: Trouble | undefined;
  #stop: (() => void) | undefined;
  /** Raised by `point` and `close`; a callback of an earlier one is late and says nothing. */
  #generation = 0;

  constructor(
    private readonly cache: ResourceCache,
    readonly type: T,
    private readonly owner: SlotOwner,
  ) {}

  get name(): string | undefined {
    return this.#name;
  }

  /** Undefined when nothing is known, or there is trouble. */
  get value(): Models[T] | undefined {
    return this.#value;
  }

  get trouble(): Trouble | undefined {
    return this.#trouble;
  }

  /** Watches `name` from now on; what was known of another name is forgotten. */
  point(name: string): void {
    if (name === this.#name) return;
    const stopOld = this.#stop;
    const generation = ++this.#generation;
    this.#name = name;
    this.#value = undefined;
    this.#trouble = undefined;
    let pointing = true;
    const tell = (): void => {
      if (!pointing) this.owner.changed();
    };
    const stop = this.cache.watch(this.type, name, {
      changed: (resource) => {
        if (generation !== this.#generation) return;
        // The cache holds what the decoder for this type made.
        const value = retain(this.#value, resource as Models[T]);
        if (value === this.#value) return;
        this.#value = value;
        this.#trouble = undefined;
        tell();
      },
      failed: (error, reason) => {
        if (generation !== this.#generation) return;
        this.#value = undefined;
        this.#trouble = { error, reason };
        tell();
      },
      ambient: (error) => {
        if (generation === this.#generation && !pointing) this.owner.ambient(error);
      },
    });
    pointing = false;
    // The new watch stands before the old one goes, so that a cache which serves both keeps what they share.
    stopOld?.();
    this.#stop = stop;
  }

  /** Ends the watch and forgets everything. */
  close(): void {
    this.#generation++;
    this.#stop?.();
    this.#stop = undefined;
    this.#name = undefined;
    this.#value = undefined;
    this.#trouble = undefined;
  }
}

import { ENDPOINT } from '../../core/resources.js';
import type { ResourceCache } from '../resource-cache.js';
import type { Assignment } from '../resources/endpoint.js';
import type { EndpointSource } from './endpoint-source.js';
import { Slot, type SlotOwner } from './slot.js';

/** Endpoints that the control plane names, in a resource of their own. */
export class EdsEndpoints implements EndpointSource {
  readonly #slot: Slot<typeof ENDPOINT>;

  constructor(serviceName: string, cache: ResourceCache, owner: SlotOwner) {
    this.#slot = new Slot(cache, ENDPOINT, owner);
    this.#slot.point(serviceName);
  }

  get assignment(): Assignment | undefined {
    return this.#slot.value;
  }

  get error(): Error | undefined {
    return this.#slot.trouble?.error;
  }

  close(): void {
    this.#slot.close();
  }
}

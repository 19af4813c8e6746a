import type { Call } from './call.js';
import type { Reply } from './reply.js';

/** One call in, one reply out. A client, a balancer and a single connection are all services. Rejects with a MeshError only. */
export type Service = (call: Call) => Promise<Reply>;

/** Adds one behaviour around `next`. Built when config changes, run for every call. */
export type Filter = (next: Service) => Service;

/** Composes around `service`; the first filter listed sees the call first and the reply last. */
export const stack = (filters: readonly Filter[], service: Service): Service =>
  filters.reduceRight((next, filter) => filter(next), service);

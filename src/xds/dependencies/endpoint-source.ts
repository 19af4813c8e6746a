import type { Assignment } from '../resources/endpoint.js';

/** Where a cluster's endpoints come from, behind one face: static, EDS or DNS. */
export interface EndpointSource {
  /** Undefined until they are known, and when there is trouble. */
  readonly assignment: Assignment | undefined;
  readonly error: Error | undefined;
  close(): void;
}

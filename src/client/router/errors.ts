import type { MeshError } from '../../core/errors.js';

/** Why a call that waits for ready cannot go on yet: its cluster is in trouble. Told to the destination, which lets it wait; nobody else sees it. */
export class ClusterTrouble extends Error {
  override readonly name = 'ClusterTrouble';
  constructor(readonly trouble: MeshError) {
    super(trouble.message);
  }
}

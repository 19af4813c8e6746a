import type { ConnectionLimits } from '../../src/core/transport.js';

/** Limits that grant everything, and count what is held, so that a test can see that all was given back. */
export class CountingLimits implements ConnectionLimits {
  open = 0;
  waiting = 0;
  constructor(
    private readonly maxOpen = Number.POSITIVE_INFINITY,
    private readonly maxWaiting = Number.POSITIVE_INFINITY,
  ) {}
  tryOpen(first: boolean): boolean {
    if (!first && this.open >= this.maxOpen) return false;
    this.open++;
    return true;
  }
  closed(): void {
    this.open--;
  }
  tryWait(): boolean {
    if (this.waiting >= this.maxWaiting) return false;
    this.waiting++;
    return true;
  }
  waited(): void {
    this.waiting--;
  }
  overflow(): Error {
    return new Error('no place in the line');
  }
}

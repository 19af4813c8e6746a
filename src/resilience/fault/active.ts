/**
 * Faults under way, of all policies: "This feature limits the maximum number of concurrent active fault injected RPC for the entire process" - gRFC A33.
 * Not Envoy's count, which is one per filter configuration.
 */
export class ActiveFaults {
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** A place among them, or no, when there are `max` already. */
  tryBegin(max: number | undefined): boolean {
    if (max !== undefined && this.#count >= max) return false;
    this.#count++;
    return true;
  }

  /** Once per `tryBegin` that said yes. */
  end(): void {
    this.#count--;
  }
}

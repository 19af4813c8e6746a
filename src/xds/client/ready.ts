/** A promise that is settled once, from outside, and that nobody has to listen to. */
export class Ready {
  readonly promise: Promise<void>;
  #settled = false;
  #resolve: () => void = () => {};
  #reject: (error: Error) => void = () => {};

  constructor() {
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // Who does not ask whether it is ready shall not die of it.
    this.promise.catch(() => {});
  }

  get isSettled(): boolean {
    return this.#settled;
  }

  succeed(): void {
    this.#settled = true;
    this.#resolve();
  }

  fail(error: Error): void {
    this.#settled = true;
    this.#reject(error);
  }
}

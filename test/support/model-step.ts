import type fc from 'fast-check';

/** A command of fast-check that is one function of the model and the real thing. */
export class ModelStep<M extends object, R> implements fc.AsyncCommand<M, R> {
  constructor(
    private readonly name: string,
    private readonly step: (model: M, real: R) => void | Promise<void>,
  ) {}

  check(): boolean {
    return true;
  }

  async run(model: M, real: R): Promise<void> {
    await this.step(model, real);
  }

  toString(): string {
    return this.name;
  }
}

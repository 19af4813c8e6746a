/** What else ends with a mesh: what was set up by those who hold on to it. */
export class Endings {
  /** Undefined: it has ended. */
  #ends: (() => void)[] | undefined = [];

  /** Runs `end` when the mesh is closed; at once, where it is already. */
  readonly add = (end: () => void): void => {
    if (this.#ends === undefined) end();
    else this.#ends.push(end);
  };

  close(): void {
    const ends = this.#ends;
    this.#ends = undefined;
    for (const end of ends ?? []) end();
  }
}

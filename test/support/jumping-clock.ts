import { FakeClock } from './fake-clock.js';

/** A clock whose wall time can be set while its monotonic time goes on. */
export class JumpingClock extends FakeClock {
  #set = 0;

  override wallTime(): number {
    return super.wallTime() + this.#set;
  }

  /** Sets the wall clock on, or back, by so many milliseconds. */
  jump(ms: number): void {
    this.#set += ms;
  }
}

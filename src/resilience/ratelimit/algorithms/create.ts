import type { Clock } from '../../../core/clock.js';
import type { Limit } from '../../../core/model/limit.js';
import { SmoothWall } from '../smooth-wall.js';
import type { Algorithm } from './algorithm.js';
import { Calendar } from './calendar.js';
import { FixedWindow } from './fixed-window.js';
import { SlidingLog } from './sliding-log.js';
import { SlidingWindow } from './sliding-window.js';
import { TokenBucket } from './token-bucket.js';

/** Makes algorithms that share one view of time. */
export function algorithms(clock: Pick<Clock, 'now' | 'wallTime'>): (limit: Limit) => Algorithm {
  const wall = new SmoothWall(clock);
  const epoch = clock.now() - clock.wallTime();
  return (limit) => {
    switch (limit.algorithm) {
      case 'token_bucket':
        return new TokenBucket(limit);
      case 'fixed_window':
        return new FixedWindow(limit, epoch);
      case 'sliding_window':
        return new SlidingWindow(limit, epoch);
      case 'sliding_log':
        return new SlidingLog(limit);
      case 'calendar':
        return new Calendar(limit, wall);
    }
  };
}

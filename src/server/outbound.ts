import type { Outbound } from '../core/outbound.js';

/** For servers that nobody has given a way out: nobody can be asked. */
export const NO_OUTBOUND: Outbound = {
  http: () => Promise.reject(new Error('this server has no mesh to ask with')),
  unary: () => Promise.reject(new Error('this server has no mesh to ask with')),
};

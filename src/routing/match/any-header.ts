import type { HeaderMatch } from '../../core/model/match.js';
import type { Reply } from '../../core/reply.js';
import type { Predicate } from '../request.js';
import { headerTest, headerValueTest } from './headers.js';

/** Whether any of some header matches holds, of a request or of a reply: for retry policies. */
export const anyHeader = {
  ofRequest(matches: readonly HeaderMatch[]): Predicate {
    const tests = matches.map(headerTest);
    return (request) => tests.some((test) => test(request));
  },

  ofReply(matches: readonly HeaderMatch[]): (reply: Pick<Reply, 'status' | 'headers'>) => boolean {
    const tests = matches.map((match) => ({ name: match.name, test: headerValueTest(match) }));
    return ({ status, headers }) =>
      tests.some(({ name, test }) => test(name === ':status' ? String(status) : headers[name]));
  },
};

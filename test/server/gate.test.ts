import { expect, test } from 'vitest';
import { inboundContext } from '../../src/server/context.js';
import { type Gate, pass } from '../../src/server/gate.js';

/* What becomes of a request when a gate fails: it does not pass. */

const FAILING: Record<string, Gate> = {
  throws: {
    refusal() {
      throw new Error('a fault of ours');
    },
  },
  rejects: { refusal: () => Promise.reject(new Error('a fault of ours')) },
};

test.each(Object.entries(FAILING))('a gate that %s lets nothing through, and fails nobody else', async (_, gate) => {
  let asked = 0;
  let withdrawn = 0;
  const before: Gate = { refusal: () => undefined, withdrawn: () => void withdrawn++ };
  const after: Gate = { refusal: () => void asked++ as undefined };
  expect(await pass([before, gate, after], inboundContext({}), 'http')).toMatchObject({ status: 500, grpcStatus: 13 });
  expect([asked, withdrawn]).toEqual([0, 1]);
});

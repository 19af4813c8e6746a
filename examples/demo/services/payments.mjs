import { serveHttp, work } from './http.mjs';

/** A flaky instance fails every second call. */
export function startPayments(flaky) {
  let calls = 0;
  return serveHttp(async (request) => {
    request.resume();
    await work(10);
    calls += 1;
    if (flaky && calls % 2 === 0) return { status: 503, body: { error: 'the card network does not answer' } };
    return { status: 201, body: { charged: true } };
  });
}

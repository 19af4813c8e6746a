import type { Endpoint } from '../endpoints/endpoint.js';

/** Draws until an endpoint is not in `tried`, at most `draws` times; then the first that is not, else any. Other endpoints first, as retries want it. */
export function avoiding(
  tried: readonly string[] | undefined,
  endpoints: readonly Endpoint[],
  draws: number,
  draw: () => Endpoint | undefined,
): Endpoint | undefined {
  const drawn = draw();
  if (tried === undefined || tried.length === 0 || drawn === undefined || !tried.includes(drawn.key)) return drawn;
  for (let i = 1; i < draws; i++) {
    const again = draw();
    if (again !== undefined && !tried.includes(again.key)) return again;
  }
  return endpoints.find((endpoint) => !tried.includes(endpoint.key)) ?? drawn;
}

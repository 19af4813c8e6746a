/** Product pages and checkouts per second. */
const PAGES_PER_SECOND = 80;
const CHECKOUTS_PER_SECOND = 20;
/** Calls under way at once; customers beyond that go elsewhere. */
const MOST_AT_ONCE = 400;
const TICK_MS = 50;

/** Customers: calls at a steady rate, whether or not the ones before were answered. Returns the way to end it. */
export function startTraffic(mesh) {
  let open = 0;
  const call = async (path, init) => {
    if (open >= MOST_AT_ONCE) return;
    open += 1;
    try {
      const response = await mesh.fetch(`http://frontend/${path}`, init);
      await response.arrayBuffer();
    } catch {
      // Counted by the mesh, and shown in the table.
    } finally {
      open -= 1;
    }
  };
  let pages = 0;
  let checkouts = 0;
  const timer = setInterval(() => {
    for (pages += (PAGES_PER_SECOND * TICK_MS) / 1_000; pages >= 1; pages -= 1)
      call(`products/${1 + Math.floor(Math.random() * 9)}`);
    for (checkouts += (CHECKOUTS_PER_SECOND * TICK_MS) / 1_000; checkouts >= 1; checkouts -= 1)
      call('checkout', { method: 'POST' });
  }, TICK_MS);
  return () => clearInterval(timer);
}

import { getJson, serveHttp } from './http.mjs';

/** What customers see: product pages, and the checkout. */
export const startFrontend = (mesh) =>
  serveHttp(async ({ method, url }) => {
    const [, page, product] = url.split('/');
    if (page === 'products') {
      const [details, reviews] = await Promise.all([
        getJson(mesh, `http://details/${product}`),
        // A page without reviews is better than none.
        getJson(mesh, `http://reviews/${product}`).catch(() => undefined),
      ]);
      return { status: 200, body: { product, details, reviews } };
    }
    if (page === 'checkout' && method === 'POST') {
      const charge = await getJson(mesh, 'http://payments/charges', { method: 'POST', body: '{"amount":1999}' });
      return { status: 201, body: charge };
    }
    return { status: 404, body: { error: `no page ${url}` } };
  });

import { shop, unary } from './grpc.mjs';
import { serveHttp, work } from './http.mjs';

const HTTP_STATUS = { 4: 504 };

/** What a product is, and how many are in stock. */
export function startDetails(mesh) {
  const inventory = mesh.grpc(shop.Inventory, 'inventory');
  return serveHttp(async ({ url }) => {
    await work(3);
    try {
      const { count } = await unary(inventory, 'GetStock', { product: url.slice(1) });
      return { status: 200, body: { title: 'The Comedy of Errors', stock: count } };
    } catch (error) {
      return { status: HTTP_STATUS[error.code] ?? 503, body: { error: error.message } };
    }
  });
}

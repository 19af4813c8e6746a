import { shop, unary } from './grpc.mjs';
import { serveHttp, work } from './http.mjs';

/** Reviews of a product with its rating. Version 2 draws the stars, and takes its time to do so. */
export function startReviews(mesh, version) {
  const ratings = mesh.grpc(shop.Ratings, 'ratings');
  return serveHttp(async ({ url }) => {
    const { stars } = await unary(ratings, 'GetRating', { product: url.slice(1) });
    await work(version === 'v1' ? 8 : 30);
    return {
      status: 200,
      body: { text: 'An extremely entertaining play.', stars: version === 'v1' ? stars : '★'.repeat(stars) },
    };
  });
}

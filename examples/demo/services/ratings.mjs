import { serveGrpc, shop } from './grpc.mjs';
import { work } from './http.mjs';

export const startRatings = () =>
  serveGrpc(shop.Ratings.service, {
    GetRating: async () => {
      await work(2);
      return { stars: 4 };
    },
  });

import { serveGrpc, shop } from './grpc.mjs';
import { work } from './http.mjs';

/** `slowness` is about how long an answer takes, in milliseconds. */
export const startInventory = (slowness) =>
  serveGrpc(shop.Inventory.service, {
    GetStock: async () => {
      await work(slowness);
      return { count: 7 };
    },
  });

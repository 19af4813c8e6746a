import type { Service } from '../core/service.js';
import type { Outbound } from '../core/outbound.js';

/** How servers of a mesh ask others: by its pipeline, which is loaded for that when somebody is first asked. `beside`: for names of clusters (`Destinations.beside`). */
export const meshOutbound = (service: Service, beside: Service): Outbound => ({
  http: async (request) => {
    const { ask } = await import('../client/ask.js');
    return ask(request.cluster === true ? beside : service, request);
  },
  unary: async (request) => {
    const { unary } = await import('../client/grpc/unary.js');
    return unary(beside, { ...request, asksLimits: true });
  },
});

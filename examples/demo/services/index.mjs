import { startDetails } from './details.mjs';
import { startFrontend } from './frontend.mjs';
import { startInventory } from './inventory.mjs';
import { startPayments } from './payments.mjs';
import { startRatings } from './ratings.mjs';
import { startReviews } from './reviews.mjs';

/**
 * Starts every instance of every service of the shop, as real servers on free ports. They share a process to keep the demo small, and
 * nothing else: each caller has a mesh client of its own (`meshOf`), as if it ran elsewhere.
 */
export async function startServices(meshOf) {
  const started = [
    ['ratings', startRatings()],
    ['inventory', startInventory(5)],
    ['inventory', startInventory(5)],
    ['inventory', startInventory(250)],
    ['payments', startPayments(false)],
    ['payments', startPayments(false)],
    ['payments', startPayments(true)],
    ['details', startDetails(meshOf('details'))],
    ['reviews-v1', startReviews(meshOf('reviews'), 'v1'), 'v1'],
    ['reviews-v2', startReviews(meshOf('reviews'), 'v2'), 'v2'],
    ['frontend', startFrontend(meshOf('frontend'))],
  ];
  return Promise.all(started.map(async ([service, server, version]) => ({ service, version, ...(await server) })));
}

/** Where the instances are, and which version: an EndpointSlice for each, as Kubernetes keeps them. */
export const endpointSlices = (instances) => instances.map(endpointSlice).join('');

const endpointSlice = ({ service, version, port }, index) => `---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: ${service}-${index}
  labels: { kubernetes.io/service-name: ${service}${version ? `, version: ${version}` : ''} }
addressType: IPv4
ports: [{ port: ${port} }]
endpoints: [{ addresses: [127.0.0.1] }]
`;

import type { Call } from '../../core/call.js';
import { MeshError, NoRouteError } from '../../core/errors.js';
import type { ForwardAction, Route, SubsetCriteria, WeightedCluster } from '../../core/model/route.js';
import { TroubledCluster } from '../../core/model/troubled-cluster.js';
import { type Filter, type Service, stack } from '../../core/service.js';
import { createFallback, type FallbackEnv } from '../../resilience/fallback/fallback.js';
import { actionFor, byCallPolicy } from '../call-policy.js';
import type { ClientEnv } from '../env.js';
import { ExtraLoad } from '../hedging.js';
import { attemptFilters, entryFilters, routeFilters, troubleFilters } from '../stack.js';
import { countAttempts } from './attempt-count.js';
import { chooseByWeight } from './choose.js';
import type { Meaning } from './cluster-ref.js';
import type { RouterClusters } from './clusters.js';
import { cors } from './cors.js';
import { ClusterTrouble } from './errors.js';
import { hashCalls } from './hash.js';
import { mirrorCalls } from './mirror.js';
import { changeReplies, changeRequests } from './mutate.js';
import { rewrite } from './rewrite.js';
import { keepCluster, keepEndpoint } from './session.js';

/** What a route that forwards does to its calls, from the choice of a cluster on. What it does not ask for is not in the stack. */
export function forwardService(route: Route, action: ForwardAction, clusters: RouterClusters, env: ClientEnv): Service {
  const services = action.clusters.map((weighted) => toCluster(route, action, weighted, clusters, env));
  const chosen = chooseByWeight(action, services, env.random);
  const homes = action.clusters.map(({ name, own = route }, i) => {
    return [name, { session: own.session, service: services[i] as Service }] as const;
  });
  const filters = [
    ofClusters(action) ? undefined : cors(route.cors, env.random), // outermost: a preflight goes nowhere
    homes.length > 1 ? keepCluster(new Map(homes)) : undefined,
    action.weightedByHash ? hashCalls(action.hashPolicies, { hashes: true }, env) : undefined, // above the choice that goes by it
  ];
  return stack(present(filters), chosen);
}

/** Whether CORS and sessions are a matter of the cluster that is chosen, not of the route. */
const ofClusters = ({ clusters }: ForwardAction): boolean => clusters.some(({ own }) => own !== undefined);

/**
 * Composed at the first call that chooses the cluster (of a thousand clusters an application may call three), and again when it has become something
 * else: in trouble, or out of it.
 */
function toCluster(
  route: Route,
  action: ForwardAction,
  weighted: WeightedCluster,
  clusters: RouterClusters,
  env: ClientEnv,
): Service {
  const ref = clusters.ref(weighted.name);
  let composed: { readonly of: Meaning; readonly fallback: unknown; readonly service: Service } | undefined;
  const serve: Service = (call) => {
    const { meaning } = ref;
    const fallback = meaning instanceof MeshError ? undefined : meaning?.fallback;
    if (composed === undefined || composed.of !== meaning || composed.fallback !== fallback) {
      composed = { of: meaning, fallback, service: compose(route, action, weighted, meaning, clusters, env) };
    }
    return composed.service(call);
  };
  const browsers = ofClusters(action) ? cors((weighted.own ?? route).cors, env.random) : undefined;
  return browsers?.(serve) ?? serve;
}

function compose(
  route: Route,
  action: ForwardAction,
  weighted: WeightedCluster,
  cluster: Meaning,
  clusters: RouterClusters,
  env: ClientEnv,
): Service {
  const { name } = weighted;
  const policies: Pick<Route, 'limits' | 'faults' | 'session'> = weighted.own ?? route;
  const replies = changeReplies([weighted.responseHeaders, route.responseHeaders], env);
  const use: FallbackEnv['use'] = (fallback, call) => {
    const meaning = clusters.use(fallback);
    return meaning === undefined ? clusters.late(fallback, call).then(upstreamOf) : upstreamOf(meaning);
  };
  const changes = (user: { readonly hashes: boolean }): (Filter | undefined)[] => [
    countAttempts(route.attemptCount),
    changeRequests([weighted.requestHeaders, route.requestHeaders], env), // before rewrites: formats see the path as it came (Envoy)
    rewrite(action, weighted, route.match.path),
    action.weightedByHash ? undefined : hashCalls(action.hashPolicies, user, env), // of what is sent (Envoy hashes then)
    mirrorCalls(action, (mirrored) => clusters.use(mirrored), env), // copies what is sent, once for all attempts
    replies, // innermost: cookies of ours are not the route's to remove
  ];
  if (cluster === undefined || cluster instanceof MeshError) {
    const error = cluster ?? new NoRouteError(`route "${route.name}" names cluster "${name}", which does not exist`);
    const fails: Service = () => Promise.reject(error);
    const standIn = error instanceof TroubledCluster ? createFallback(error.fallback, env) : undefined;
    const send = byCallPolicy((policy) => {
      const own = { cluster: name, fallback: standIn, hold: (call: Call) => clusters.hold(call) };
      return stack(troubleFilters(own, use, env, policy?.ownFallback === true), fails);
    });
    const filters = [
      choice(name, undefined, action.priority),
      ...entryFilters(action, policies, { name, hold: (call) => clusters.hold(call) }, replies, env),
      ...changes({ hashes: false }), // as the cluster would have the call: what stands in for it is sent no other
    ];
    const entered = stack(present(filters), send);
    const trouble = new ClusterTrouble(error);
    const waits: Service = (call) => {
      call.record.cluster = name;
      return Promise.reject(trouble);
    };
    // It comes by again, and is left as it came: limits, faults, time and changes are for when it goes on.
    return (call) => (call.waitForReady ? waits : entered)(call);
  }
  const { session } = policies;
  const filters = [
    choice(cluster.statName, subsetOf(action, weighted), action.priority),
    ...entryFilters(action, policies, { name, hold: (call) => cluster.hold(call) }, replies, env),
    session === undefined ? undefined : keepEndpoint(session, name, action.clusters.length > 1), // sees the call as it came
    ...changes(cluster),
  ];
  const extra = new ExtraLoad(env);
  // Looked up per attempt: an update of the cluster replaces its service.
  const attempt: Service = (call) => cluster.service(call);
  const send = byCallPolicy((policy) => {
    const asked = actionFor(action, policy);
    const own = { extra, fallback: policy?.ownFallback === true, hedge: typeof policy?.hedge === 'object' };
    return stack([...routeFilters(asked, cluster, use, env, own), ...attemptFilters(asked, env)], attempt);
  });
  return stack(present(filters), send);
}

const upstreamOf = (meaning: Meaning): Exclude<Meaning, MeshError> =>
  meaning instanceof MeshError ? undefined : meaning;

/** Writes down what was chosen, and what the route says of it. */
const choice =
  (statName: string, subset: SubsetCriteria | undefined, priority: ForwardAction['priority']): Filter =>
  (next) =>
  (call) => {
    call.record.cluster = statName;
    if (subset !== undefined) call.subset = subset;
    if (priority !== undefined) call.priority = priority;
    return next(call);
  };

/** What the cluster's weight asks for, over what the action does. */
function subsetOf(action: ForwardAction, weighted: WeightedCluster): SubsetCriteria | undefined {
  if (action.subset === undefined) return weighted.subset;
  return weighted.subset === undefined ? action.subset : { ...action.subset, ...weighted.subset };
}

const present = (filters: readonly (Filter | undefined)[]): Filter[] =>
  filters.filter((filter) => filter !== undefined);

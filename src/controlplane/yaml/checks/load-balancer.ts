import { balancerKind } from '../balancer-kind.js';
import type { Path, Report } from '../problem.js';
import type { LoadBalancerSpec } from '../schema/load-balancer.js';
import { between, DAY_MS } from './bounds.js';
import { checkPlain } from './plain.js';

/** Which balancers each setting is for. */
const OWNERS: readonly (readonly [keyof LoadBalancerSpec, readonly string[]])[] = [
  ['choiceCount', ['LEAST_REQUEST']],
  ['activeRequestBias', ['LEAST_REQUEST']],
  ['selectionMethod', ['LEAST_REQUEST']],
  ['decay', ['PEAK_EWMA']],
  ['defaultRtt', ['PEAK_EWMA']],
  ['weightedRoundRobin', ['WEIGHTED_ROUND_ROBIN']],
  ['shuffleAddressList', ['PICK_FIRST']],
  ['consistentHash', ['RING_HASH', 'MAGLEV']],
  ['warmup', ['PEAK_EWMA', 'LEAST_REQUEST', 'ROUND_ROBIN', 'WEIGHTED_ROUND_ROBIN']],
];

export function checkLoadBalancer(balancer: LoadBalancerSpec, at: Path, report: Report): void {
  const kind = balancerKind(balancer);
  if (balancer.custom !== undefined && balancer.simple !== undefined)
    report([...at, 'simple'], 'cannot be combined with custom: keep one of them');
  for (const [field, owners] of OWNERS) {
    if (balancer[field] === undefined || owners.includes(kind)) continue;
    const whose = owners.length === 1 ? `"simple: ${owners[0]}"` : owners.join(', ');
    report([...at, field], `belongs to ${whose} and means nothing with ${kind}: remove it`);
  }
  if (balancer.selectionMethod === 'FULL_SCAN' && balancer.choiceCount !== undefined)
    report([...at, 'choiceCount'], 'means nothing with "selectionMethod: FULL_SCAN", which compares all: remove it');
  between(report, [...at, 'decay'], balancer.decay, 1, 3_600_000);
  between(report, [...at, 'defaultRtt'], balancer.defaultRtt, 1, 60_000);
  between(report, [...at, 'warmup', 'duration'], balancer.warmup?.duration, 1, DAY_MS);
  const weighted = balancer.weightedRoundRobin;
  between(report, [...at, 'weightedRoundRobin', 'oobReportingPeriod'], weighted?.oobReportingPeriod, 1, DAY_MS);
  between(report, [...at, 'weightedRoundRobin', 'weightExpirationPeriod'], weighted?.weightExpirationPeriod, 1, DAY_MS);
  between(report, [...at, 'weightedRoundRobin', 'weightUpdatePeriod'], weighted?.weightUpdatePeriod, 100, DAY_MS);
  checkHash(balancer, kind, [...at, 'consistentHash'], report);
  checkLocalities(balancer, kind, [...at, 'localityLbSetting'], report);
  checkAperture(balancer.aperture, [...at, 'aperture'], report);
  checkPlain(balancer.custom?.config, [...at, 'custom', 'config'], report);
}

function checkHash({ consistentHash: hash }: LoadBalancerSpec, kind: string, at: Path, report: Report): void {
  if (hash?.maglev !== undefined && kind === 'RING_HASH')
    report([...at, 'maglev'], 'belongs to "simple: MAGLEV" and means nothing with RING_HASH: remove it');
  const { minimumRingSize = 1, maximumRingSize = Number.POSITIVE_INFINITY } = hash?.ringHash ?? {};
  if (minimumRingSize > maximumRingSize)
    report([...at, 'ringHash', 'minimumRingSize'], `must be at most maximumRingSize, which is ${maximumRingSize}`);
  const size = hash?.maglev?.tableSize;
  // "must be prime number" - maglev.proto
  if (size !== undefined && !isPrime(size))
    report([...at, 'maglev', 'tableSize'], `must be a prime number, got ${size}`, { expected: 'a prime number' });
}

function isPrime(number: number): boolean {
  for (let divisor = 2; divisor * divisor <= number; divisor++) if (number % divisor === 0) return false;
  return number > 1;
}

const ZONE_AWARE = ['PEAK_EWMA', 'LEAST_REQUEST', 'ROUND_ROBIN', 'RANDOM'];
/** All of whose endpoints are one list, so that localities have no shares. */
const ONE_LIST = ['PICK_FIRST', 'CUSTOM'];

function checkLocalities({ localityLbSetting }: LoadBalancerSpec, kind: string, at: Path, report: Report): void {
  const { zoneAware, distribute, failoverOrder } = localityLbSetting ?? {};
  if (zoneAware !== undefined && !ZONE_AWARE.includes(kind))
    report([...at, 'zoneAware'], `needs "simple: PEAK_EWMA", LEAST_REQUEST, ROUND_ROBIN or RANDOM, got ${kind}`);
  if (zoneAware !== undefined && distribute !== undefined)
    report([...at, 'distribute'], 'cannot be combined with zoneAware: keep one of them');
  if (distribute !== undefined && ONE_LIST.includes(kind))
    report([...at, 'distribute'], `means nothing with ${kind}: remove it`);
  const shares = Object.values(distribute?.[0]?.to ?? {});
  if (distribute !== undefined && shares.every((share) => share === 0))
    report([...at, 'distribute', 0, 'to'], 'must give a locality a weight of at least 1');
  failoverOrder?.forEach((name, index) => {
    if (failoverOrder.indexOf(name) < index) report([...at, 'failoverOrder', index], `"${name}" is there twice`);
  });
}

function checkAperture(aperture: LoadBalancerSpec['aperture'], at: Path, report: Report): void {
  const { type, peerCount, peerIndex } = aperture ?? {};
  if (type === 'RandomSubsetting') {
    for (const field of ['peerCount', 'peerIndex'] as const)
      if (aperture?.[field] !== undefined) report([...at, field], 'belongs to "type: Deterministic": remove it');
    return;
  }
  if ((peerCount === undefined) !== (peerIndex === undefined)) {
    const [missing, given] = peerCount === undefined ? ['peerCount', 'peerIndex'] : ['peerIndex', 'peerCount'];
    report([...at, missing as string], `is missing: ${given} needs it`);
  }
  if (peerCount !== undefined && peerIndex !== undefined && peerIndex >= peerCount)
    report([...at, 'peerIndex'], `must be less than peerCount, which is ${peerCount}, got ${peerIndex}`);
}

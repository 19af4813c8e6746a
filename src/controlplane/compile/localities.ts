import type { LoadBalancerSpec } from '../yaml/schema/load-balancer.js';
import type { MeshEndpoint } from './mesh-endpoint.js';
import type { MeshPort } from './services.js';

type Setting = LoadBalancerSpec['localityLbSetting'];
type Locality = MeshEndpoint['locality'];

/** Endpoints in one place, and how they are used. */
export interface LocalityGroup {
  readonly locality: Locality;
  readonly members: readonly MeshEndpoint[];
  readonly weight: number;
  /** 0 is used first. */
  readonly priority: number;
}

/** The localities of a port, in the order in which they first appear; those that get no calls are left out. */
export function localityGroups(port: MeshPort, setting: Setting): LocalityGroup[] {
  const byName = new Map<string, MeshEndpoint[]>();
  for (const endpoint of port.endpoints) {
    const name = localityText(endpoint.locality);
    const others = byName.get(name);
    if (others === undefined) byName.set(name, [endpoint]);
    else others.push(endpoint);
  }
  const groups = [...byName.values()].map((members) => ({
    locality: (members[0] as MeshEndpoint).locality,
    members,
    // In proportion to what is in it, so that localities change no share.
    weight: members.reduce((sum, { weight }) => sum + weight, 0),
    priority: 0,
  }));
  return inOrder(distributed(groups, setting?.distribute?.[0]?.to), setting?.failoverOrder);
}

/** Makes shares whole numbers when one name stands for several localities. */
const SHARES = 1_000;

function distributed(groups: readonly LocalityGroup[], to: Readonly<Record<string, number>> | undefined) {
  if (to === undefined) return groups;
  const names = Object.keys(to);
  const namedBy = groups.map(({ locality }) => names.find((name) => isNamed(locality, name)));
  return groups.flatMap((group, index) => {
    const name = namedBy[index];
    const share = name === undefined ? 0 : (to[name] ?? 0);
    if (share === 0) return [];
    const total = groups.reduce((sum, { weight }, other) => sum + (namedBy[other] === name ? weight : 0), 0);
    return [{ ...group, weight: Math.max(1, Math.round((share * SHARES * group.weight) / total)) }];
  });
}

/** "priorities … must start from 0 … without skipping any" - endpoint_components.proto: those that nothing is in do not count. */
function inOrder(groups: readonly LocalityGroup[], order: readonly string[] | undefined): LocalityGroup[] {
  if (order === undefined) return [...groups];
  const places = groups.map(({ locality }) => {
    const place = order.findIndex((name) => isNamed(locality, name));
    return place < 0 ? order.length : place;
  });
  const used = [...new Set(places)].sort((a, b) => a - b);
  return groups.map((group, index) => ({ ...group, priority: used.indexOf(places[index] as number) }));
}

/** Whether `name` is that of the zone, or of the region and what follows, as far as it goes. */
export function isNamed({ region, zone, subZone }: Locality, name: string): boolean {
  if (name === zone) return true;
  if (region === '') return false;
  const own = [region, zone, subZone];
  return name.split('/').every((part, index) => part === own[index]);
}

/** `region/zone/subzone`, or the zone when that is all there is. */
export function localityText({ region, zone, subZone }: Locality): string {
  if (region === '') return zone;
  return [region, zone, subZone].filter((part) => part !== '').join('/');
}

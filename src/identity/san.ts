import { parseIp, sameIp } from '../core/ip.js';
import type { SanMatch } from '../core/model/tls.js';
import { stringTest } from '../routing/match/strings.js';
import type { GeneralName } from './general-names.js';

type NameTest = (name: GeneralName) => boolean;

/**
 * Compiles matchers of a peer's names. Any name that satisfies any matcher will do; "if the `match_subject_alt_names` list is empty then there is nothing to
 * match and the check succeeds" (gRFC A29).
 */
export function sanTest(matches: readonly SanMatch[]): (names: readonly GeneralName[]) => boolean {
  if (matches.length === 0) return () => true;
  const tests = matches.map(nameTest);
  return (names) => names.some((name) => tests.some((test) => test(name)));
}

export const sanMatches = (names: readonly GeneralName[], matches: readonly SanMatch[]): boolean =>
  sanTest(matches)(names);

/** What the untyped list is compared with: "each SAN entry of type DNS, URI, email and IP address is considered" (gRFC A29). */
const UNTYPED: ReadonlySet<string> = new Set(['DNS', 'URI', 'EMAIL', 'IP_ADDRESS']);

function nameTest({ type, match, oid }: SanMatch): NameTest {
  const plain = stringTest(match);
  const exact = match.kind === 'exact' ? match.value : undefined;
  const address = exact === undefined ? undefined : parseIp(exact);
  return (name) => {
    // "if a SAN entry is empty then the match fails for that entry" - gRFC A29
    if (name.value === '') return false;
    if (type === 'any' ? !UNTYPED.has(name.type) : name.type !== type) return false;
    switch (name.type) {
      case 'DNS':
        return exact === undefined ? plain(name.value) : dnsNameMatches(exact, name.value);
      case 'IP_ADDRESS': {
        // However either is written: the certificate has bytes, not text.
        const own = address === undefined ? undefined : parseIp(name.value);
        return own === undefined || address === undefined ? plain(name.value) : sameIp(own, address);
      }
      case 'OTHER_NAME':
        return name.oid === oid && plain(name.value);
      default:
        return plain(name.value);
    }
  };
}

/**
 * Whether a certificate's DNS name stands for `host`: whatever their capitals, and with `*` as the whole of the leftmost label standing for exactly one label
 * (RFC 6125 section 6.4.3, as Envoy's and gRPC's exact matchers of DNS names have it).
 */
export function dnsNameMatches(host: string, dnsName: string): boolean {
  const wanted = folded(host);
  const name = folded(dnsName);
  if (wanted === '' || wanted.includes('*')) return false;
  if (!name.startsWith('*.')) return wanted === name;
  const dot = wanted.indexOf('.');
  const suffix = name.slice(1);
  return dot > 0 && !suffix.includes('*') && suffix.length > 1 && wanted.slice(dot) === suffix;
}

/** The dot at the end of an absolute name does not count. */
const folded = (name: string): string => name.toLowerCase().replace(/\.$/, '');

/** Whether one of the DNS names stands for the server name that was asked for (gRFC A101; any TLS origination). Never an address: those are matched as such. */
export const hasDnsName = (names: readonly GeneralName[], host: string): boolean =>
  names.some(({ type, value }) => type === 'DNS' && dnsNameMatches(host, value));

/** The same for an endpoint that is reached by its address. */
export function hasAddress(names: readonly GeneralName[], address: string): boolean {
  const wanted = parseIp(address);
  if (wanted === undefined) return false;
  return names.some(({ type, value }) => {
    const own = type === 'IP_ADDRESS' ? parseIp(value) : undefined;
    return own !== undefined && sameIp(own, wanted);
  });
}

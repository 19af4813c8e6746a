import { contains, parseIp, parseNetwork } from '../../core/ip.js';
import type { NameConstraints } from '../extensions.js';
import type { GeneralName } from '../general-names.js';

/** Whether the names of a certificate may be there below a CA with these constraints (RFC 5280 section 4.2.1.10). The first that may not; undefined: all may. */
export function outsideOf(constraints: NameConstraints, names: readonly GeneralName[]): GeneralName | undefined {
  return names.find((name) => {
    const named = [...constraints.permitted, ...constraints.excluded].some(({ type }) => type === name.type);
    if (!named) return false;
    // "the certificate ... MUST be rejected" where a URI has no host that is a name, and there is a constraint of URIs.
    if (name.type === 'URI' && (hostOf(name.value) === '' || parseIp(hostOf(name.value)) !== undefined)) return true;
    const permitted = constraints.permitted.filter(({ type }) => type === name.type);
    if (permitted.length > 0 && !permitted.some((base) => isWithin(name, base))) return true;
    return constraints.excluded.some((base) => base.type === name.type && isWithin(name, base));
  });
}

function isWithin(name: GeneralName, base: GeneralName): boolean {
  switch (name.type) {
    case 'DNS':
      // "Any DNS name that can be constructed by simply adding zero or more labels to the left-hand side of the name satisfies the name constraint."
      return isHostWithin(name.value, base.value) || isHostWithin(name.value, `.${base.value.replace(/^\./, '')}`);
    case 'URI':
      return isHostWithin(hostOf(name.value), base.value);
    case 'EMAIL': {
      if (base.value.includes('@')) return name.value === base.value;
      return isHostWithin(name.value.slice(name.value.lastIndexOf('@') + 1), base.value);
    }
    case 'IP_ADDRESS': {
      const address = parseIp(name.value);
      const [from = '', bits] = base.value.split('/');
      const network = bits === undefined ? undefined : parseNetwork({ address: from, prefixLength: Number(bits) });
      return address !== undefined && network !== undefined && contains(network, address);
    }
    case 'OTHER_NAME':
      return name.oid === base.oid && name.value === base.value;
  }
}

/** "When the constraint begins with a period, it MAY be expanded with one or more labels"; else it is one host. Empty: any. */
function isHostWithin(host: string, base: string): boolean {
  const [name, constraint] = [host.toLowerCase(), base.toLowerCase()];
  if (constraint === '' || constraint === '.') return true;
  return constraint.startsWith('.')
    ? name.endsWith(constraint) && name.length > constraint.length
    : name === constraint;
}

/** Of `scheme://user@host:port/path`; '' where there is none, which is within nothing. */
function hostOf(uri: string): string {
  const authority = /^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)/i.exec(uri)?.[1] ?? '';
  return authority.slice(authority.lastIndexOf('@') + 1).replace(/:\d*$/, '');
}

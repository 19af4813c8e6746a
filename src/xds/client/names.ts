import type { ResourceType } from '../../core/resources.js';

/** A resource's name, read (gRFC A47, xRFC TP1). */
export interface ResourceName {
  /** Key of the bootstrap's `authorities`; '' when an `xdstp:` name has none, undefined for an old-style name. */
  readonly authority: string | undefined;
  /** The name in the form that all names for the same resource share. */
  readonly name: string;
}

const SCHEME = 'xdstp:';
const SHAPE = /^xdstp:\/\/([^/?#]*)\/([^/?#]+)\/([^?#]+)(?:\?([^#]*))?$/;
/** RFC 3986: what a path segment may say as it is. */
const NOT_PATH = /[^A-Za-z0-9\-._~!$&'()*+,;=:@]/gu;
/** The same for one side of a context parameter, where `&` and `=` have a meaning. */
const NOT_PARAMETER = /[^A-Za-z0-9\-._~!$'()*+,;:@/?]/gu;
const NOT_AUTHORITY = /[^A-Za-z0-9\-._~!$&'()*+,;=:@[\]]/gu;

/** Reads the name of a resource of `type`. Throws an Error that says what is wrong with it. */
export function parseResourceName(type: ResourceType, name: string): ResourceName {
  if (name === '') throw nameError(name, 'is empty');
  // "the special resource name *" - xds_protocol
  if (name === '*') throw nameError(name, 'means every resource there is: give the name of one');
  // "If the resulting resource name does not start with xdstp:, we will not do any lookup in the authorities map" - A47
  if (!name.startsWith(SCHEME)) return { authority: undefined, name };
  const parts = SHAPE.exec(name);
  if (parts === null) throw nameError(name, 'must be xdstp://authority/type/id?key=value');
  const [, authority = '', resourceType = '', id = '', context = ''] = parts;
  const expected = type.slice(type.lastIndexOf('/') + 1);
  if (resourceType !== expected) throw nameError(name, `names a ${resourceType} where a ${expected} belongs`);
  try {
    const decoded = decodeURIComponent(authority);
    const path = id.split('/').map((segment) => recoded(segment, NOT_PATH));
    const host = encode(decoded, NOT_AUTHORITY);
    return {
      authority: decoded,
      name: `xdstp://${host}/${resourceType}/${path.join('/')}${contextParameters(name, context)}`,
    };
  } catch (error) {
    if (error instanceof URIError) throw nameError(name, 'has a percent sign or a character that encodes nothing');
    throw error;
  }
}

/** The same, of a name that a server sent: one that cannot be read is nobody's, and stays as it is. */
export function canonicalName(type: ResourceType, name: string): string {
  if (!name.startsWith(SCHEME)) return name;
  try {
    return parseResourceName(type, name).name;
  } catch {
    return name;
  }
}

/** Names with the same parameters in another order are the same: xRFC TP1 has them sorted by key. */
function contextParameters(name: string, context: string): string {
  if (context === '') return '';
  const parameters = new Map<string, string>();
  for (const pair of context.split('&')) {
    const [key = '', value = ''] = splitOnce(pair);
    const decoded = recoded(key, NOT_PARAMETER);
    if (parameters.has(decoded)) throw nameError(name, `gives the context parameter "${decoded}" twice`);
    parameters.set(decoded, recoded(value, NOT_PARAMETER));
  }
  const sorted = [...parameters].sort(([a], [b]) => (a < b ? -1 : 1));
  return `?${sorted.map(([key, value]) => `${key}=${value}`).join('&')}`;
}

function splitOnce(pair: string): [string, string] {
  const at = pair.indexOf('=');
  return at < 0 ? [pair, ''] : [pair.slice(0, at), pair.slice(at + 1)];
}

const recoded = (text: string, reserved: RegExp): string => encode(decodeURIComponent(text), reserved);

/** `encodeURIComponent` leaves `!'()*` alone, all of which are allowed here as well. */
const encode = (text: string, reserved: RegExp): string => text.replace(reserved, (found) => encodeURIComponent(found));

const nameError = (name: string, problem: string): Error => new Error(`resource name "${name}": ${problem}`);

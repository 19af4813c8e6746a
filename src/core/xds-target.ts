/** What a gRPC target URI of the scheme `xds` names (gRFC A27, A47). */
export interface XdsTarget {
  /** A key of the bootstrap's `authorities`; undefined: those of the top level. */
  readonly xdsAuthority: string | undefined;
  /** What is called: the destination, without a leading slash. */
  readonly name: string;
}

const SHAPE = /^xds:(?:\/\/([^/?#]*))?\/?([^?#]*)/;

/**
 * Reads `xds://authority/name`, `xds:///name` and `xds:name`. Anything else is a name as it stands, be it one with a port: `reviews:8080`.
 * Escapes are read, as in every gRPC target; one that encodes nothing stays as it is.
 */
export function parseXdsTarget(target: string): XdsTarget {
  const parts = SHAPE.exec(target);
  if (parts === null) return { xdsAuthority: undefined, name: target };
  const [, authority, name = ''] = parts;
  return { xdsAuthority: authority ? unescaped(authority) : undefined, name: unescaped(name) };
}

/** The URI that is read as this target: the same for all ways to write it. */
export const formatXdsTarget = ({ xdsAuthority = '', name }: XdsTarget): string =>
  `xds://${xdsAuthority.replace(/[%?#/]/g, encodeURIComponent)}/${name.replace(/[%?#]/g, encodeURIComponent)}`;

/** "Any remaining `/` characters will be percent-encoded, as is normal when determining the data plane authority" - A47 */
export const dataPlaneAuthority = ({ name }: XdsTarget): string => name.replaceAll('/', '%2F');

function unescaped(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

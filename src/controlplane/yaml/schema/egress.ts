import * as v from 'valibot';
import { about, listOf, oneOf, pattern, portNumber } from './fields.js';

/** A name, or one with a wildcard for any number of labels in front. */
export const hostPattern = pattern(
  /^(?=.{1,253}$)(\*|(\*\.)?[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*)$/,
  'a name of lower-case letters, digits, "-" and ".", "*." and such a name, or "*"',
);

export const cidr = pattern(
  /^[0-9a-fA-F:.]+(\/[0-9]{1,3})?$/,
  'an IP address, or a range of them: `10.0.0.0/8`, `fd00::/8`',
);

const rule = v.strictObject({
  hosts: about(v.optional(listOf(hostPattern, 1, 64)), 'Hosts, as they are called. Default: any.'),
  ports: about(v.optional(listOf(portNumber, 1, 64)), 'Ports. Default: any.'),
  cidrs: about(
    v.optional(listOf(cidr, 1, 64)),
    'Addresses that are connected to, however they were found. Default: any.',
  ),
});

/** Where the mesh may be left for. */
export const egress = v.strictObject({
  default: about(
    v.optional(oneOf(['allow', 'deny']), 'allow'),
    'What becomes of calls to hosts that neither a Service nor a ServiceEntry names. Default allow.',
  ),
  allow: about(
    v.optional(listOf(rule, 0, 256), []),
    'Calls that may leave in spite of `default: deny`: what is named in an entry must all be so.',
  ),
  deny: about(
    v.optional(listOf(rule, 0, 256), []),
    'Calls that may not leave, also to what a Service or a ServiceEntry names. Goes before everything else.',
  ),
});

export type EgressSpec = v.InferOutput<typeof egress>;

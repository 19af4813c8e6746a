import { constants } from 'node:http2';

/**
 * Node up to 23 copies the options of a stream and adds those of its priority one by one, which takes 5 µs a call (Node 20) unless they are
 * there already, as its defaults. Later versions know no priority (RFC 9113 section 5.3) and warn of `weight`: DEP0194.
 */
const PRIORITY =
  Number.parseInt(process.versions.node, 10) < 24
    ? { exclusive: false, parent: 0, weight: constants.NGHTTP2_DEFAULT_WEIGHT, silent: false }
    : {};

/** For streams by what is sent on them. */
export const HEAD_ONLY = { endStream: true, waitForTrailers: false, ...PRIORITY };
export const BODY = { endStream: false, waitForTrailers: false, ...PRIORITY };
export const BODY_AND_TRAILERS = { endStream: false, waitForTrailers: true, ...PRIORITY };

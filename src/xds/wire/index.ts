export { type AdsMethod, adsService } from './ads.js';
export { type Codec, loadCodec } from './codec.js';
export { CodecError } from './error.js';
export type { DiscoveryRequest, DiscoveryResponse, RawAny } from './messages.js';

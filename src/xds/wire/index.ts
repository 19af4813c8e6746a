export {
  type AdsMethod,
  adsService,
  type DeltaMethod,
  type DiscoveryMethods,
  discoveryMethods,
  secretMethods,
} from './ads.js';
export { type Codec, loadCodec } from './codec.js';
export { CodecError } from './error.js';
export { type Outline, readAny } from './outline.js';
export type {
  DeltaDiscoveryRequest,
  DeltaDiscoveryResponse,
  DiscoveryRequest,
  DiscoveryResponse,
  RawAny,
  ResourceError,
  WrappedResource,
} from './messages.js';

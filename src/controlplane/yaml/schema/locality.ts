import * as v from 'valibot';
import { about, count, integer, listOf, pattern, percent } from './fields.js';

/** `zone`, or Istio's `region/zone/subzone`, whose last parts may be left out. */
export const localityName = pattern(/^[^/*\s]{1,253}(\/[^/*\s]{1,253}){0,2}$/, 'a zone, or region/zone/subzone');

const zoneAware = v.strictObject({
  routingEnabled: about(v.optional(percent, 100), 'Share of calls for which it holds, in percent. Default 100.'),
  minClusterSize: about(v.optional(integer(1, 100_000), 6), 'With fewer endpoints it does not hold. Default 6.'),
  forceLocalZone: about(
    v.optional(v.strictObject({ minSize: about(v.optional(count(1), 1), 'Usable endpoints there. Default 1.') })),
    "All calls to the caller's own zone, as long as it has `minSize` usable endpoints. Default: in proportion.",
  ),
  failTrafficOnPanic: about(v.optional(v.boolean()), 'Fail calls in panic, not send them anywhere. Default false.'),
});

const distribute = v.strictObject({
  from: about(v.literal('*', 'must be "*"'), 'Every caller: one configuration serves all.'),
  to: about(v.record(localityName, integer(0, 10_000)), 'Weight of each locality; those not named get no calls.'),
});

export const localityLbSetting = about(
  v.optional(
    v.strictObject({
      distribute: about(
        v.optional(listOf(distribute, 1, 1)),
        'Shares of the localities (Istio `distribute`). Default: by the weights of the endpoints.',
      ),
      failoverOrder: about(
        v.optional(listOf(localityName, 1, 100)),
        'Localities in the order in which they serve: the next one when those before it cannot (priorities); all others come last. For every caller alike.',
      ),
      zoneAware: about(
        v.optional(zoneAware),
        "Calls stay in the caller's own zone as far as its share of the endpoints goes (Envoy `zone_aware_lb_config`). Needs PEAK_EWMA, LEAST_REQUEST, ROUND_ROBIN or RANDOM.",
      ),
    }),
  ),
  'How calls are shared among localities (Istio `localityLbSetting`). Default: by the weights of the endpoints.',
);

/** The one method of `xds.service.orca.v3.OpenRcaService`. */
export const STREAM_CORE_METRICS = '/xds.service.orca.v3.OpenRcaService/StreamCoreMetrics';

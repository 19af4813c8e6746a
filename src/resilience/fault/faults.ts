import type { FaultConfig } from '../../core/model/fault.js';
import type { Filter, Service } from '../../core/service.js';
import type { ClientFaultEnv } from './filter.js';

/** Makes calls go wrong on purpose, as configured; undefined when nothing is. What does it is loaded at the first call. */
export function faults(configs: readonly FaultConfig[] | undefined, env: ClientFaultEnv): Filter | undefined {
  if (configs === undefined || configs.length === 0) return undefined;
  return (next) => {
    let service: Service | undefined;
    return (call) =>
      service?.(call) ??
      import('./filter.js').then(({ injecting }) => {
        service ??= injecting(configs, env)(next);
        return service(call);
      });
  };
}

import type { FormatRequest, Value } from './values.js';

/** A value that is an `ip:port`, as Envoy prints it; with the commands for its parts. */
export function address(of: (request: FormatRequest) => string | undefined): {
  readonly whole: Value;
  readonly withoutPort: Value;
  readonly port: Value;
} {
  return {
    whole: of,
    withoutPort: (request) => {
      const text = of(request);
      return text === undefined ? undefined : hostOf(text);
    },
    port: (request) => {
      const text = of(request);
      return text === undefined ? undefined : text.slice(text.lastIndexOf(':') + 1);
    },
  };
}

/** Without the port; an IPv6 address without its brackets too, as Envoy has it. */
export function hostOf(text: string): string {
  const host = text.slice(0, text.lastIndexOf(':'));
  return host.startsWith('[') ? host.slice(1, -1) : host;
}

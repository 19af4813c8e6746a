import type { RouteSource, ServerListener } from '../../core/model/server.js';
import type { ClientSettings } from '../../core/model/settings.js';
import { SETTINGS_LISTENER } from '../../core/resources.js';
import type { Steps } from '../../core/steps.js';
import { clientSettings } from './client-settings.js';
import type { ReadContext } from './context.js';
import { connectionManager, HCM } from './listener-http.js';
import type { Message } from './message.js';
import type { RouteFilters } from './route-filters.js';
import { serverListener } from './server-listener.js';

/** `listener.v3.Listener`: an API listener is a client's and says where the routes are; one with an address is a server's (gRFC A36). */
export type Listener =
  | ClientListener
  | { readonly kind: 'server'; readonly listener: ServerListener }
  | { readonly kind: 'settings'; readonly settings: ClientSettings };

export interface ClientListener {
  readonly kind: 'api';
  readonly name: string;
  readonly routes: RouteSource;
  /** `common_http_protocol_options.max_stream_duration`: for routes that have none (gRFC A31). Its idle_timeout is a server's matter. */
  readonly maxStreamDurationMs: number | undefined;
  /** Absent: none that routes have anything to say to. */
  readonly filters?: RouteFilters | undefined;
}

export function* listener(message: Message, context: ReadContext): Steps<Listener> {
  if (message.text('name') === SETTINGS_LISTENER) return { kind: 'settings', settings: clientSettings(message) };
  // Where both are set, the API listener counts, as in all of gRPC's implementations.
  const api = message.message('api_listener');
  if (api !== undefined) return yield* clientListener(message, api, context);
  if (!message.has('address'))
    throw message.error('', 'must have api_listener (for a client) or address (for a server)');
  return { kind: 'server', listener: yield* serverListener(message, context) };
}

function* clientListener(message: Message, api: Message, context: ReadContext): Steps<ClientListener> {
  const hcm = api.required('api_listener');
  // gRFC A27: "must be … HttpConnectionManager"
  if (hcm.type !== `type.googleapis.com/${HCM}`) throw api.error('api_listener', `must be a ${HCM}, got "${hcm.type}"`);
  const { filters, ...manager } = yield* connectionManager(hcm, 'client', context, message.text('name'));
  const { routes } = filters;
  const isPlain = Object.values(routes).every((filter) => filter === undefined);
  return { kind: 'api', name: message.text('name'), ...manager, filters: isPlain ? undefined : routes };
}

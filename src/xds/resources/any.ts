import { TYPE_PREFIX } from '../../core/resources.js';
import type { Message } from './message.js';
import { Settings } from './struct.js';

const TYPED_STRUCTS = new Set([`${TYPE_PREFIX}xds.type.v3.TypedStruct`, `${TYPE_PREFIX}udpa.type.v1.TypedStruct`]);

/** The content of an `Any`: a message of a known type, or what a TypedStruct carries under the type that it names. */
export type Extension =
  | { readonly type: string; readonly kind: 'message'; readonly message: Message }
  | {
      readonly type: string;
      readonly kind: 'struct';
      readonly settings: Settings | undefined;
      readonly message: Message;
    };

/** An unfolded `Any`; `type` is the full name without its prefix, e.g. `inmesh.dev/peak_ewma`. */
export function extension(any: Message): Extension {
  if (!TYPED_STRUCTS.has(any.type)) return { kind: 'message', type: bare(any.type), message: any };
  const value = any.message('value');
  const settings = value === undefined ? undefined : new Settings(value);
  return { kind: 'struct', type: bare(any.requiredText('type_url')), settings, message: any };
}

function bare(typeUrl: string): string {
  return typeUrl.startsWith(TYPE_PREFIX) ? typeUrl.slice(TYPE_PREFIX.length) : typeUrl;
}

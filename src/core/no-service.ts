import { nearest } from './decode.js';
import { INBOUND_PREFIX, isOwnListener, MESH_INBOUND } from './resources.js';

/** So many names are looked at for a similar one: who asks for a name that is not there is answered at once. */
const MAX_COMPARED = 5_000;

/**
 * Why there is no listener for the servers of a name, when it is because no Service is called so: `no Service "shpo": did you mean "shop"?`. Undefined: there is one, of which
 * nothing is asked, or the name is not one for servers. `listeners`: all that there are, by name; those for clients have the Services' names.
 */
export function noService(listener: string, listeners: ReadonlyMap<string, unknown>): string | undefined {
  if (!listener.startsWith(INBOUND_PREFIX) || listener === MESH_INBOUND) return undefined;
  const service = listener.slice(INBOUND_PREFIX.length);
  if (listeners.has(service)) return undefined;
  const known: string[] = [];
  for (const name of listeners.keys()) {
    if (known.length === MAX_COMPARED) break;
    // With a port it is the same Service once more.
    if (!isOwnListener(name) && (service.includes(':') || !name.includes(':'))) known.push(name);
  }
  const near = nearest(service, known);
  return `no Service "${service}"${near === undefined ? '' : `: did you mean "${near}"?`}`;
}

/** What `noService` says, in a message that it is part of. It comes over xDS as the text of an error. */
export const noServiceIn = (message: string): string | undefined => SAID.exec(message)?.[0];

const SAID = /no Service "[^"]{1,253}"(?:: did you mean "[^"]{1,253}"\?)?/;

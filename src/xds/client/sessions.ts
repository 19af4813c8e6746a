import { serverKey, type XdsServer } from '../bootstrap/bootstrap.js';
import { ServerSession, type SessionOwner, type SessionParts } from './server-session.js';

/**
 * Sessions by server: "If the same server is listed in multiple authorities, the entries will be de-duped (i.e., resources for both
 * authorities will be fetched on the same ADS stream)." - A47. A session lives as long as somebody uses it.
 */
export class Sessions {
  readonly #open = new Map<string, { readonly session: ServerSession; readonly users: Set<object> }>();

  constructor(
    private readonly parts: SessionParts,
    private readonly owner: SessionOwner,
  ) {}

  acquire(server: XdsServer, user: object): ServerSession {
    const key = serverKey(server);
    let open = this.#open.get(key);
    if (open === undefined) {
      open = { session: new ServerSession(server, this.parts, this.owner), users: new Set() };
      this.#open.set(key, open);
    }
    open.users.add(user);
    return open.session;
  }

  release(session: ServerSession, user: object): void {
    const open = this.#open.get(session.key);
    if (open === undefined || !open.users.delete(user) || open.users.size > 0) return;
    this.#open.delete(session.key);
    session.close();
  }

  get(key: string): ServerSession | undefined {
    return this.#open.get(key)?.session;
  }

  /** Tells the servers what has changed in what is wanted of them. */
  flush(): void {
    for (const { session } of this.#open.values()) session.flush();
  }

  resetBackoff(): void {
    for (const { session } of this.#open.values()) session.resetBackoff();
  }

  close(): void {
    for (const { session } of this.#open.values()) session.close();
    this.#open.clear();
  }
}

import diagnostics from 'node:diagnostics_channel';

/** Events that are kept for the screen. */
const KEPT = 50;
/** What happens again and again is told once in this time, with how often it was. */
const REPEAT_MS = 5_000;

/**
 * What happens in the mesh, for people: from the log of the control plane, and from the diagnostics channels on which every mesh client
 * of the process tells what it does.
 */
export class Events {
  /** `{ at, level, text }`, newest last. */
  list = [];
  /** Called with every new event. */
  onEvent = () => {};
  /** Called when the control plane serves another configuration. */
  onConfiguration = () => {};
  #repeated = new Map();
  #channels = {
    'mesh:xds:nack': ({ type, detail }) => this.add('error', `a client refused ${type}: ${detail}`),
    'mesh:circuit:open': ({ cluster, limit }) => this.#often(`${cluster}: calls refused at the circuit limit ${limit}`),
    'mesh:retry:budget-spent': ({ cluster }) => this.#often(`${cluster}: retry budget spent, retries left out`),
  };

  constructor() {
    for (const [name, listener] of Object.entries(this.#channels)) diagnostics.subscribe(name, listener);
  }

  close() {
    for (const [name, listener] of Object.entries(this.#channels)) diagnostics.unsubscribe(name, listener);
  }

  add(level, text) {
    const event = { at: new Date(), level, text };
    this.list.push(event);
    if (this.list.length > KEPT) this.list.shift();
    this.onEvent(event);
  }

  /** For the control plane. */
  controlPlaneLogger() {
    return {
      debug() {},
      info: (message, { version } = {}) => {
        if (version === undefined) return;
        this.add('good', `${message} (version ${version.slice(0, 8)})`);
        this.onConfiguration();
      },
      warn: (message, { warning } = {}) => this.add('warn', warning ?? message),
      error: (message, { problems = [] } = {}) => this.add('error', [message, ...problems].join('\n')),
    };
  }

  /** For a mesh client. */
  clientLogger(service) {
    const tell = (message) => this.#often(`${service}: ${message}`);
    return { debug() {}, info() {}, warn: tell, error: tell };
  }

  #often(text) {
    const now = Date.now();
    const seen = this.#repeated.get(text) ?? { told: 0, times: 0 };
    seen.times += 1;
    this.#repeated.set(text, seen);
    if (now - seen.told < REPEAT_MS) return;
    this.add('warn', seen.times === 1 ? text : `${text} (${seen.times} times)`);
    seen.told = now;
    seen.times = 0;
    // Texts hold no more than names of services and messages; should they ever be many, forgetting costs a repetition.
    if (this.#repeated.size > KEPT) this.#repeated.clear();
  }
}

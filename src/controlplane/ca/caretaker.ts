import type { AuthoritySettings } from './settings.js';
import { withSigner } from './signers/state.js';
import type { CaFolder, Turn } from './store/folder.js';
import { nextUpkeep, type Upkeep, upkept } from './upkeep.js';

/** Rotations and lists are looked after at least so often, in milliseconds: wall clocks jump, timers do not. */
const UPKEEP_MS = 3_600_000;
const RETRY_UPKEEP_MS = 30_000;

/** Does what is due for an authority by itself, when it is due: lists, intermediates, steps of a rotation, and what the signer that signs in its place has to tell. */
export class Caretaker {
  #cancel: (() => void) | undefined;
  #work: Promise<void> = Promise.resolve();
  /** The signer could not be asked: again soon. */
  #signerAway = false;
  #closed = false;

  constructor(
    private readonly folder: CaFolder,
    private readonly settings: AuthoritySettings,
    private readonly tools: (turn: Turn) => Upkeep,
  ) {}

  /** Resolves when it is known whom to trust. Rejects where a signer that nothing is known of cannot be asked. */
  async start(): Promise<void> {
    const { signer, logger } = this.settings;
    if (signer !== undefined)
      await this.askSigner().catch((error: unknown) => {
        // What it told before stands; without roots there is nothing to begin with.
        if (this.folder.state.roots.length === 0) throw error;
        this.#signerAway = true;
        logger.warn('the signer of the CA cannot be asked, and is asked again', {
          signer: signer.name,
          error: String(error),
        });
      });
    this.#plan();
  }

  /** The state is another one: something else may be due first. */
  changed(): void {
    // Before it was started nothing is planned.
    if (this.#cancel !== undefined) this.#plan();
  }

  /** Roots and lists of the signer that signs in our place: they may change without us. */
  async askSigner(): Promise<void> {
    const { signer, clock } = this.settings;
    if (signer === undefined) return;
    const [roots, crls] = await Promise.all([signer.roots(), signer.crls?.() ?? []]);
    this.#signerAway = false;
    const now = clock.wallTime();
    await this.folder.change(async (state) => (state === undefined ? state : withSigner(state, roots, crls, now)));
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cancel?.();
    await this.#work;
  }

  #plan(): void {
    const most = this.#signerAway ? RETRY_UPKEEP_MS : UPKEEP_MS;
    this.#again(Math.min(most, Math.max(0, nextUpkeep(this.folder.state) - this.settings.clock.wallTime())));
  }

  #again(delayMs: number): void {
    this.#cancel?.();
    if (!this.#closed) this.#cancel = this.settings.clock.after(delayMs, () => this.#keepUp(), { background: true });
  }

  #keepUp(): void {
    this.#work = this.folder
      .change(async (state, turn) => (state === undefined ? state : upkept(state, this.tools(turn))))
      .then(() => this.askSigner())
      .then(
        () => this.#plan(),
        (error: unknown) => {
          const { logger } = this.settings;
          logger.error('the upkeep of the CA failed', { directory: this.folder.directory, error: String(error) });
          this.#again(RETRY_UPKEEP_MS);
        },
      );
  }
}

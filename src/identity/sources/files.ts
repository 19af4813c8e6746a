import type { Clock } from '../../core/clock.js';
import { DecodeError } from '../../core/decode.js';
import { IdentityError } from '../../core/errors.js';
import type { IdentitySource, IdentityState, Trust, X509Identity } from '../../core/identity.js';
import { parseBundleMap, trustOf } from '../bundle.js';
import { readCertificates } from '../certificate.js';
import { readCrls } from '../crl.js';
import { CERTIFICATE, CRL, readPem, writePem } from '../pem.js';
import { parseTrustDomain } from '../spiffe-id.js';
import { readIdentity } from '../svid.js';
import { sourceOf, Watchers } from '../watchers.js';
import { FolderWatch } from './folder-watch.js';
import { readText } from './read-text.js';

/** gRFC A29, `file_watcher`: "refresh_interval ... default 600s". Changes that the file system tells of are seen at once. */
export const DEFAULT_REFRESH_INTERVAL_MS = 600_000;
/** What is not there yet, or broken, is looked at again after this long, in milliseconds. */
export const LOOK_AGAIN_MS = 1_000;
/** Several files are replaced one after the other: how long after the first notice they are read, in milliseconds. */
const SETTLE_MS = 50;
/** Certificate and key that do not fit are told after this long, in milliseconds: one of them may just not be written yet. */
const CONFIRM_MS = 250;

export interface FileIdentityOptions {
  /** PEM, leaf first. Goes with `privateKey`. */
  readonly certificate?: string | undefined;
  /** PEM, not encrypted. */
  readonly privateKey?: string | undefined;
  /** PEM of roots. Ignored beside `spiffeBundleMap` (gRFC A87). */
  readonly roots?: string | undefined;
  /** Whose roots they are; they then vouch for names of this trust domain only. Absent: for any name. */
  readonly trustDomain?: string | undefined;
  /** JSON: SPIFFE bundles by trust domain (gRFC A87, `spiffe_trust_bundle_map_file`). */
  readonly spiffeBundleMap?: string | undefined;
  /** PEM of revocation lists. */
  readonly crls?: string | undefined;
  /** In milliseconds, 10 or more. Default 600,000. */
  readonly refreshIntervalMs?: number | undefined;
}

/** What some of the files say together, and what they said last. */
interface Part<T> {
  readonly paths: readonly string[];
  readonly parse: (texts: readonly string[]) => T;
  /** Of the last good one. */
  value: T | undefined;
  texts: readonly string[] | undefined;
}

/**
 * Identity from files, as cert-manager, Kubernetes, SPIRE's helper or an operator puts them there: gRPC's `file_watcher`. What cannot be read, or does not fit
 * together, is told, and what was good before stays; certificate with key, trust and revocation lists each for itself. Throws a DecodeError where the options
 * make no source.
 */
export function fileIdentity(options: FileIdentityOptions, { clock }: { readonly clock: Clock }): IdentitySource {
  const files = new Files(options, clock);
  return sourceOf(files.watchers, () => files.close());
}

class Files {
  readonly watchers: Watchers;
  readonly #identity: Part<X509Identity> | undefined;
  readonly #trust: Part<Trust> | undefined;
  readonly #crls: Part<readonly string[]> | undefined;
  readonly #refreshMs: number;
  readonly #folders: FolderWatch;
  #cancelTimer: (() => void) | undefined;
  /** A notice came while reading. */
  #again = false;
  #looking: Promise<void> | undefined;
  /** What is wrong, as it was last found and as it was last told. */
  #suspected: string | undefined;

  constructor(
    options: FileIdentityOptions,
    private readonly clock: Clock,
  ) {
    const { certificate, privateKey, roots, spiffeBundleMap, crls, trustDomain } = options;
    if ((certificate === undefined) !== (privateKey === undefined)) {
      throw new DecodeError(
        certificate === undefined ? 'privateKey' : 'certificate',
        'certificate and privateKey go together: name both files, or none',
      );
    }
    if (trustDomain !== undefined) parseTrustDomain(trustDomain, 'trustDomain');
    if (certificate !== undefined && privateKey !== undefined)
      this.#identity = part([certificate, privateKey], parseIdentity);
    // "If the `ca_certificate_file` field is also set, it will be ignored" - gRFC A87
    if (spiffeBundleMap !== undefined)
      this.#trust = part([spiffeBundleMap], ([text]) => trustOf(parseBundleMap(text as string)));
    else if (roots !== undefined) this.#trust = part([roots], ([text]) => parseRoots(text as string, trustDomain));
    if (crls !== undefined) this.#crls = part([crls], ([text]) => parseCrls(text as string));
    const paths = this.#parts().flatMap((each) => each.paths);
    if (this.#identity === undefined && this.#trust === undefined) {
      throw new DecodeError(
        '',
        'names no files: set certificate and privateKey, roots or spiffeBundleMap, or all of them',
      );
    }
    this.#refreshMs = options.refreshIntervalMs ?? DEFAULT_REFRESH_INTERVAL_MS;
    this.watchers = new Watchers(`files ${paths.join(', ')}`);
    this.#folders = new FolderWatch(paths, () => this.#notice());
    this.#look();
  }

  async close(): Promise<void> {
    this.#cancelTimer?.();
    this.#folders.close();
    await this.#looking;
  }

  #parts(): Part<unknown>[] {
    return [this.#identity, this.#trust, this.#crls].filter((each) => each !== undefined);
  }

  #notice(): void {
    if (this.#looking !== undefined) this.#again = true;
    else this.#lookIn(SETTLE_MS);
  }

  #lookIn(delayMs: number): void {
    this.#cancelTimer?.();
    if (this.watchers.closed) return;
    this.#cancelTimer = this.clock.after(delayMs, () => this.#look(), { background: true });
  }

  #look(): void {
    this.#looking = this.#read().then((nextMs) => {
      this.#looking = undefined;
      const again = this.#again;
      this.#again = false;
      this.#lookIn(again ? SETTLE_MS : nextMs);
    });
  }

  /** How long until the next look. */
  async #read(): Promise<number> {
    this.#folders.renew();
    const problems: string[] = [];
    let changed = false;
    for (const each of this.#parts()) {
      try {
        changed = (await refresh(each)) || changed;
      } catch (error) {
        problems.push((error as Error).message);
      }
    }
    if (this.watchers.closed) return 0;
    if (changed && this.#parts().every(({ value }) => value !== undefined)) this.watchers.changed(this.#state());
    return this.#judge(problems.join('; '));
  }

  /** Trouble is told when it is there twice in a row, then at each look while it lasts. */
  #judge(problem: string): number {
    const confirmed = problem !== '' && problem === this.#suspected;
    this.#suspected = problem === '' ? undefined : problem;
    if (problem === '') return this.#refreshMs;
    if (!confirmed) return CONFIRM_MS;
    this.watchers.failed(new IdentityError(`identity source "${this.watchers.name}": ${problem}`));
    return Math.min(LOOK_AGAIN_MS, this.#refreshMs);
  }

  #state(): IdentityState {
    return Object.freeze({
      identity: this.#identity?.value,
      trust: this.#trust?.value,
      ...(this.#crls?.value === undefined ? {} : { crls: this.#crls.value }),
    });
  }
}

const part = <T>(paths: readonly string[], parse: (texts: readonly string[]) => T): Part<T> => ({
  paths,
  parse,
  value: undefined,
  texts: undefined,
});

/** Whether it says something new. Throws where it says nothing. */
async function refresh(each: Part<unknown>): Promise<boolean> {
  const texts: string[] = [];
  for (const path of each.paths) texts.push(await readText(path));
  if (each.texts?.every((text, i) => text === texts[i])) return false;
  try {
    each.value = each.parse(texts);
  } catch (error) {
    throw new Error(`${each.paths.join(' with ')}: ${(error as Error).message}`);
  }
  each.texts = texts;
  return true;
}

const parseIdentity = ([certificates, privateKey]: readonly string[]): X509Identity =>
  readIdentity({ certificates: certificates as string, privateKey: privateKey as string });

function parseRoots(text: string, trustDomain: string | undefined): Trust {
  const certificates = readCertificates(text).map(({ der }) => writePem(CERTIFICATE, der));
  return trustDomain === undefined
    ? { kind: 'roots', certificates }
    : { kind: 'spiffe', bundles: new Map([[trustDomain, certificates]]) };
}

/** An empty file has revoked nothing. */
function parseCrls(text: string): readonly string[] {
  readCrls(text);
  return readPem(text, CRL).map((der) => writePem(CRL, der));
}

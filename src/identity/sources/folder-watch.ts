import { type FSWatcher, realpathSync, watch } from 'node:fs';
import { dirname } from 'node:path';

/**
 * Notices from the file system of anything that happens in the folders of some files: where they are named, and where their links lead. Folders, since files are
 * replaced rather than written, and Kubernetes swaps a link (`..data`) beside them. Does not keep the process alive; where there are no notices (network file
 * systems, some containers), there are none.
 */
export class FolderWatch {
  readonly #watchers = new Map<string, FSWatcher>();

  constructor(
    private readonly paths: readonly string[],
    private readonly notice: () => void,
  ) {}

  /** Watches what is there by now. */
  renew(): void {
    const wanted = new Set(this.paths.flatMap(foldersOf));
    for (const [folder, watcher] of this.#watchers) {
      if (wanted.has(folder)) continue;
      watcher.close();
      this.#watchers.delete(folder);
    }
    for (const folder of wanted) if (!this.#watchers.has(folder)) this.#watch(folder);
  }

  close(): void {
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  #watch(folder: string): void {
    try {
      const watcher = watch(folder, { persistent: false }, () => this.notice());
      // The folder is gone, or may not be watched any more: the next look tries again.
      watcher.on('error', () => {
        watcher.close();
        if (this.#watchers.get(folder) === watcher) this.#watchers.delete(folder);
      });
      this.#watchers.set(folder, watcher);
    } catch {
      // Not there, or no more watches are left: files are looked at all the same, at the refresh interval.
    }
  }
}

function foldersOf(path: string): string[] {
  try {
    return [dirname(path), dirname(realpathSync(path))];
  } catch {
    return [dirname(path)];
  }
}

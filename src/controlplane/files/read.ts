import type { Stats } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { MAX_FILE_CHARS } from '../yaml/parse.js';
import type { Problem } from '../yaml/problem.js';
import type { SourceFile } from '../yaml/read.js';

/** Files in one configuration, over all folders. */
export const MAX_FILES = 2_000;
/** Bytes of all files together. */
export const MAX_TOTAL_BYTES = 64 * 1024 * 1024;

/** What is read of a folder. */
export const CONFIG_FILE = /^[^.].*\.(ya?ml|json)$/i;

/** A configuration file that is there, and what tells that it is still the same. */
export interface FoundFile {
  readonly name: string;
  readonly bytes: number;
  /** Changes when the file is written, replaced, or reached through another link. */
  readonly stamp: string;
}

export interface Found {
  readonly files: readonly FoundFile[];
  readonly problems: readonly Problem[];
}

/** What of the file system concerns `paths`: the files named, and of folders their *.yaml, *.yml, *.json, by name, not deeper. */
export async function findFiles(paths: readonly string[]): Promise<Found> {
  const files: FoundFile[] = [];
  const problems: Problem[] = [];
  for (const path of paths) {
    const found = await lookAt(path);
    if (typeof found === 'string') {
      problems.push(problemOf(path, found));
      continue;
    }
    if (!found.isDirectory()) {
      if (found.isFile()) files.push(foundFile(path, found));
      else problems.push(problemOf(path, 'is neither a file nor a folder'));
      continue;
    }
    const inside = await filesIn(path, problems);
    if (inside.length === 0) problems.push(problemOf(path, 'has no *.yaml, *.yml or *.json file'));
    files.push(...inside);
  }
  const distinct = [...new Map(files.map((file) => [file.name, file])).values()];
  if (distinct.length <= MAX_FILES) return { files: distinct, problems };
  problems.push(problemOf(paths.join(', '), `has ${distinct.length} files; at most ${MAX_FILES} are read: join some`));
  return { files: [], problems };
}

async function filesIn(folder: string, problems: Problem[]): Promise<FoundFile[]> {
  let names: string[];
  try {
    names = (await readdir(folder)).filter((name) => CONFIG_FILE.test(name)).sort();
  } catch (error) {
    problems.push(problemOf(folder, `cannot be read: ${(error as Error).message}`));
    return [];
  }
  const files: FoundFile[] = [];
  for (const name of names) {
    const path = join(folder, name);
    // Kubernetes mounts files as links through `..data`: `stat` follows them.
    const found = await lookAt(path);
    if (typeof found === 'string') problems.push(problemOf(path, found));
    else if (found.isFile()) files.push(foundFile(path, found));
  }
  return files;
}

async function lookAt(path: string): Promise<Stats | string> {
  try {
    return await stat(path);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return code === 'ENOENT' ? 'there is no such file or folder' : `cannot be read: ${message}`;
  }
}

const foundFile = (name: string, found: Stats): FoundFile => ({
  name,
  bytes: found.size,
  stamp: `${found.dev}:${found.ino}:${found.size}:${found.mtimeMs}:${found.ctimeMs}`,
});

/** The texts of `found`. A file that cannot be read is a problem; the others are read. */
export async function readFiles({
  files,
  problems: before,
}: Found): Promise<{ files: SourceFile[]; problems: Problem[] }> {
  const problems = [...before];
  const texts: SourceFile[] = [];
  let total = 0;
  for (const { name, bytes } of files) {
    total += bytes;
    // Four bytes are the most that UTF-8 needs for one UTF-16 unit's worth of text, rounded up.
    if (bytes > 4 * MAX_FILE_CHARS || total > MAX_TOTAL_BYTES) {
      problems.push(
        problemOf(name, `is too large (${bytes} bytes; ${MAX_TOTAL_BYTES} are read in all): split or shorten it`),
      );
      continue;
    }
    try {
      texts.push({ name, text: new TextDecoder('utf-8', { fatal: true }).decode(await readFile(name)) });
    } catch (error) {
      const why = error instanceof TypeError ? 'is not UTF-8 text' : `cannot be read: ${(error as Error).message}`;
      problems.push(problemOf(name, why));
    }
  }
  return { files: texts, problems };
}

const problemOf = (file: string, message: string): Problem => ({
  file,
  line: 0,
  column: 0,
  resource: '',
  path: '',
  message,
});

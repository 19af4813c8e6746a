import { runCommand } from '../support/cli.js';

/** What `inmesh ca …` prints, as it is, and with what differs each time taken out. `folder`: where files are put. */
export async function runCa(dir: string, folder: string, args: readonly string[]) {
  const { code, out, err } = await runCommand(['ca', ...args, '--dir', dir], Promise.resolve());
  const plain = (text: string): string =>
    text
      .replace(/\b[0-9a-f]{64}\b/g, '<hash>')
      .replace(/\b[0-9a-f]{32}\b/g, '<serial>')
      .replace(/\b[0-9a-f]{12}\b/g, '<id>')
      .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '<time>')
      .replaceAll(folder, '<folder>');
  return { code, out: plain(out), err: plain(err), raw: out };
}

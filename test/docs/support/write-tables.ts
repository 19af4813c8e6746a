/** `npx tsx test/docs/support/write-tables.ts`: brings the tables of docs/configuration.md up to date with the schemas. */
import { readFileSync, writeFileSync } from 'node:fs';
import { fieldsMarkdown, MARKED, SUBJECTS } from './fields.js';
import { pathOf } from './markdown.js';

const path = pathOf('docs/configuration.md');
let text = readFileSync(path, 'utf8');
for (const subject of SUBJECTS) {
  text = text.replace(MARKED(subject), (_, start: string, __, end: string) => start + fieldsMarkdown(subject) + end);
}
writeFileSync(path, text);

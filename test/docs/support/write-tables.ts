/** `npx tsx test/docs/support/write-tables.ts`: brings the tables of docs/configuration.md up to date with the schemas, options and flags. */
import { readFileSync, writeFileSync } from 'node:fs';
import { fieldsMarkdown, MARKED, SUBJECTS } from './fields.js';
import { pathOf } from './markdown.js';
import { OPTION_TABLES } from './options.js';

const path = pathOf('docs/configuration.md');
let text = readFileSync(path, 'utf8');
const tables = {
  ...Object.fromEntries(SUBJECTS.map((subject) => [subject, () => fieldsMarkdown(subject)])),
  ...OPTION_TABLES,
};
for (const [subject, table] of Object.entries(tables)) {
  text = text.replace(MARKED(subject), (_, start: string, __, end: string) => start + table() + end);
}
writeFileSync(path, text);

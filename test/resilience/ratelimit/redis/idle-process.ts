import { perYear, REF, storesOf } from './support.js';

// Takes once, and has nothing else to do: the connection stays open, and the process must end.
const urls = process.argv.slice(2);
const { allowed } = await storesOf(urls.length === 1 ? urls[0] : urls)
  .open(REF)
  .take('k', perYear(10), 1);
console.log(allowed);

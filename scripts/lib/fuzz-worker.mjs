/** One share of `scripts/fuzz.mjs`, in a thread of its own. What is thrown where nobody waits for it ends the thread, and is a failure. */
import { parentPort, workerData } from 'node:worker_threads';

const { bundle, options } = workerData;
const { fuzz, loadCodec } = await import(bundle);
const codec = await loadCodec();
const report = await fuzz({ ...options, codec, progress: ({ made }) => parentPort?.postMessage({ made }) });
parentPort?.postMessage({ made: report.made, report });

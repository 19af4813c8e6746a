import { isHttpFailure } from '../../core/classify.js';
import { ORCA_HEADER } from '../../core/orca.js';
import type { LoadReporting } from './reporting.js';
import { RequestMetrics } from './request-metrics.js';

/** As much of a response as carries a report: those of node:http and node:http2. */
export interface ReportingResponse {
  readonly statusCode: number;
  hasHeader(name: string): boolean;
  setHeader(name: string, value: string): unknown;
  writeHead(status: number, ...rest: never[]): unknown;
  once(event: 'close', listener: () => void): unknown;
}

/**
 * Puts the load into the head of the response, when the head is written: what a handler has recorded until then is in it. A field that the application
 * has set itself stays.
 */
export function reportInHead(response: ReportingResponse, reporting: LoadReporting): RequestMetrics {
  const request = new RequestMetrics();
  const { writeHead } = response;
  response.writeHead = (status, ...rest) => {
    response.writeHead = writeHead;
    const headers: unknown = rest.find((argument) => typeof argument === 'object');
    const flat = Array.isArray(headers) && typeof headers[0] === 'string' ? headers : undefined;
    if (flat !== undefined) {
      // Beside fields that were set before, node:http would take only the last of each name in the list.
      const withReport = [...flat, ORCA_HEADER, reporting.header(request)] as never;
      return writeHead.call(
        response,
        status,
        ...rest.map((argument) => (argument === headers ? withReport : argument)),
      );
    }
    if (!response.hasHeader(ORCA_HEADER)) response.setHeader(ORCA_HEADER, reporting.header(request));
    return writeHead.call(response, status, ...rest);
  };
  response.once('close', () => reporting.recorder.finished(isHttpFailure(response.statusCode)));
  return request;
}

import type { InboundContext } from './context.js';

/** As much of a response as is watched until its head is out. */
export interface HeadedResponse {
  getHeader(name: string): unknown;
  writeHead(status: number, ...rest: never[]): unknown;
}

/** "text/event-stream" - HTML standard, Server-sent events. It goes on for as long as its client listens. */
export const isEventStream = (contentType: unknown): boolean =>
  typeof contentType === 'string' && /^text\/event-stream\s*(?:;|$)/i.test(contentType);

/** Gives back the place that a request takes as soon as its response turns out to be a stream of events. */
export function releaseEventStream(response: HeadedResponse, context: InboundContext): void {
  if (!context.takesPlace) return;
  const { writeHead } = response;
  response.writeHead = (status, ...rest) => {
    response.writeHead = writeHead;
    const result = writeHead.call(response, status, ...rest);
    if (isEventStream(givenType(rest) ?? response.getHeader('content-type'))) context.released();
    return result;
  };
}

/** Of what `writeHead` may be given: an object, a flat list of names and values, or pairs. */
function givenType(rest: readonly unknown[]): unknown {
  const given = rest.find((argument) => typeof argument === 'object' && argument !== null);
  if (given === undefined) return undefined;
  const list = Array.isArray(given) ? given : Object.entries(given as object);
  if (Array.isArray(list[0])) return list.find(([name]) => isContentType(name))?.[1];
  const at = list.findIndex((name, i) => i % 2 === 0 && isContentType(name));
  return at < 0 ? undefined : list[at + 1];
}

const isContentType = (name: unknown): boolean => String(name).toLowerCase() === 'content-type';

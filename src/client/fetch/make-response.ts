import type { Body } from '../../core/body.js';
import type { MeshResponse, ResponseInfo } from './response.js';

let Loaded: typeof MeshResponse | undefined;

/**
 * The Response of a reply. Node loads its whole fetch when somebody first names `Response`, 9 MB and 20 ms: a program that only speaks
 * gRPC never does, and another does while its first reply is on the way.
 */
export function makeResponse(info: ResponseInfo, body: Body | null): Response | Promise<Response> {
  return Loaded === undefined ? loadResponse().then((Made) => new Made(info, body)) : new Loaded(info, body);
}

export async function loadResponse(): Promise<typeof MeshResponse> {
  Loaded ??= (await import('./response.js')).MeshResponse;
  return Loaded;
}

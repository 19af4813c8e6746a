import type { AddressInfo } from 'node:net';
import type { Mesh } from '../../../src/index.js';
import { type Ask, type FaceName, openEcho } from './echo.js';

/** One way for an application to make a call. Resolves with the id of the backend that answered; rejects with a code that all faces share. */
export interface Face {
  send(ask?: Ask): Promise<string>;
  close(): Promise<void>;
}

export async function openFace(name: FaceName, mesh: Mesh, authority: string): Promise<Face> {
  const echo = await openEcho(name, mesh, authority);
  const { close } = echo;
  if (echo.kind === 'grpc') {
    const send = async (ask?: Ask): Promise<string> => {
      const { status, id } = await echo.get(ask);
      if (id === undefined) throw new Error(status);
      return id;
    };
    return { send, close };
  }
  const send = async (ask?: Ask): Promise<string> => {
    const { status, body } = await echo.get(ask).catch((error: { readonly code?: string }) => {
      throw new Error(error.code ?? String(error));
    });
    const { id, code } = JSON.parse(body) as { id: string; code?: string };
    if (status !== 200) throw new Error(code ?? `HTTP ${status}`);
    return id;
  };
  return { send, close };
}

export const portOf = (address: AddressInfo | string | null): number => (address as AddressInfo).port;

import { afterEach, describe, expect, test } from 'vitest';
import type { Resource } from '../../../src/core/resources.js';
import { Opened } from '../robustness/support.js';
import { DOORS, isGrpc, openDoor } from './support/doors.js';
import { Scene, shops } from './support/plane.js';

/* What routes answer by themselves: the same routes from a control plane, whatever makes the calls. */

const opened = new Opened();
afterEach(() => opened.close());

const direct = (status: number, text?: string): Resource => ({
  direct_response: { status, ...(text === undefined ? {} : { body: { inline_string: text } }) },
});

describe.each(DOORS)('%s', (doorName) => {
  const scene = async (...routes: Resource[]) => {
    const { v1 } = await shops(opened, 'v1');
    const made = await Scene.open(opened, { v1: [v1] }, { routes });
    const door = opened.add(await openDoor(doorName, made.mesh), (each) => each.close());
    return { mesh: made.mesh, door, v1 };
  };

  test('a redirect is for the client to follow: fetch does, through the mesh again; to gRPC it is a failure', async () => {
    const redirect = { host_redirect: 'elsewhere', prefix_rewrite: '/new.', response_code: 'TEMPORARY_REDIRECT' };
    const { door, v1 } = await scene({ match: { prefix: '/shop.' }, redirect });
    const told = await door.ask({ path: `/shop.Cart/Get${isGrpc(doorName) ? '' : '?a=1'}` });
    if (doorName === 'fetch') {
      expect(told).toMatchObject({ status: 200, text: 'v1' });
      expect(v1.last).toMatchObject({ host: 'elsewhere', path: '/new.Cart/Get?a=1' });
      return;
    }
    expect(v1.seen).toEqual([]);
    if (isGrpc(doorName)) expect(told.status).toBe('UNKNOWN');
    else expect(told).toMatchObject({ status: 307, headers: { location: ['http://elsewhere/new.Cart/Get?a=1'] } });
  });

  test('a direct response comes from no server; to gRPC it is the status that its code stands for', async () => {
    const { door, v1 } = await scene(
      {
        match: { path: '/shop.Cart/Closed' },
        ...direct(503, 'back soon'),
        response_headers_to_add: [{ header: { key: 'retry-after', value: '60' } }],
      },
      { match: { path: '/shop.Cart/Gone' }, ...direct(404) },
      { match: { prefix: '/' }, route: { cluster: 'v1' } },
    );
    const closed = await door.ask({ path: '/shop.Cart/Closed' });
    const gone = await door.ask({ path: '/shop.Cart/Gone' });
    if (isGrpc(doorName)) {
      expect([closed.status, gone.status]).toEqual(['UNAVAILABLE', 'UNIMPLEMENTED']);
    } else {
      expect(closed).toMatchObject({ status: 503, text: 'back soon', headers: { 'retry-after': ['60'] } });
      expect(gone).toMatchObject({ status: 404, text: '' });
    }
    expect(v1.seen).toEqual([]);
    expect(await door.ask()).toMatchObject({ text: 'v1' });
  });

  test('a call that no route takes fails in the way of its protocol', async () => {
    const { door } = await scene({ match: { path: '/other' }, route: { cluster: 'v1' } });
    if (doorName === 'fetch') {
      await expect(door.ask()).rejects.toMatchObject({ code: 'NO_ROUTE' });
      return;
    }
    // gRFC A28 for a gRPC client; a proxy answers 404, in gRPC too, as Envoy does.
    const expected = { gRPC: 'UNAVAILABLE', 'proxy, gRPC': 'UNIMPLEMENTED', 'proxy, HTTP': 404 };
    expect((await door.ask()).status).toBe(expected[doorName]);
  });
});

test('fetch leaves a redirect to its caller, or refuses it, as its init says', async () => {
  const { v1 } = await shops(opened, 'v1');
  const redirect = { path_redirect: '/moved', https_redirect: true, response_code: 'SEE_OTHER' };
  const { mesh } = await Scene.open(opened, { v1: [v1] }, { routes: [{ match: { prefix: '/' }, redirect }] });
  const manual = await mesh.fetch('http://reviews/a', { redirect: 'manual' });
  expect([manual.status, manual.headers.get('location')]).toEqual([303, 'https://reviews/moved']);
  await expect(mesh.fetch('http://reviews/a', { redirect: 'error' })).rejects.toThrow();
});

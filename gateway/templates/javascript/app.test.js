// The same router, called natively; a map answers in Dapr's place.
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import app from '../src/app.js';

let kept, published;

beforeEach(() => {
  [kept, published] = [new Map(), []];
  globalThis.fetch = async (url, { method, body }) => {
    const [, block, name, key] = new URL(url).pathname.split('/').slice(1);
    if (block === 'publish') {
      published.push({ topic: `${name}/${key}`, data: JSON.parse(body) });
    } else if (method === 'GET') {
      return kept.has(key) ? new Response(kept.get(key), { headers: { etag: '1' } }) : new Response(null, { status: 204 });
    } else {
      const [{ key, value, etag }] = JSON.parse(body);
      if (etag === '' && kept.has(key)) return new Response('', { status: 409 });
      kept.set(key, JSON.stringify(value));
    }
    return new Response(null, { status: 204 });
  };
});

const post = (path, body) => app.request(path, { method: 'POST', body: JSON.stringify(body) });

test('a name is greeted', async () => {
  const reply = await app.request('/you');
  assert.equal(await reply.text(), 'Hello, you!\n');
});

test('an order is kept, published, and ready after its event', async () => {
  assert.equal((await post('/orders', { id: '7', drink: 'latte' })).status, 202);
  assert.equal(published[0].topic, 'pubsub/orders');
  await post('/dapr/events/orders', { data: published[0].data });
  assert.equal((await (await app.request('/orders/7')).json()).status, 'Ready');
});

test('the same order is not taken twice', async () => {
  const order = { id: '7', drink: 'latte' };
  assert.equal((await post('/orders', order)).status, 202);
  assert.equal((await post('/orders', order)).status, 409);
});

test('what is no order is refused', async () => {
  assert.equal((await app.request('/orders', { method: 'POST', body: 'latte' })).status, 400);
});

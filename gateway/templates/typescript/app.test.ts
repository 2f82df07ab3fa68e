// The same router, called natively; a map answers in Dapr's place.
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import app, { type Order } from '../src/app';

let kept: Map<string, string>;
let published: { topic: string; data: Order }[];

beforeEach(() => {
  [kept, published] = [new Map(), []];
  globalThis.fetch = async (url, init) => {
    const [, block, name, key = ''] = new URL(String(url)).pathname.split('/').slice(1);
    const body = init?.body && JSON.parse(String(init.body));
    if (block === 'publish') {
      published.push({ topic: `${name}/${key}`, data: body });
    } else if (init?.method === 'GET') {
      const value = kept.get(key);
      return value ? new Response(value, { headers: { etag: '1' } }) : new Response(null, { status: 204 });
    } else {
      const [{ key, value, etag }] = body;
      if (etag === '' && kept.has(key)) return new Response('', { status: 409 });
      kept.set(key, JSON.stringify(value));
    }
    return new Response(null, { status: 204 });
  };
});

const post = (path: string, body: unknown) => app.request(path, { method: 'POST', body: JSON.stringify(body) });

test('a name is greeted', async () => {
  const reply = await app.request('/you');
  assert.equal(await reply.text(), 'Hello, you!\n');
});

test('an order is kept, published, and ready after its event', async () => {
  assert.equal((await post('/orders', { id: '7', drink: 'latte' })).status, 202);
  assert.equal(published[0]?.topic, 'pubsub/orders');
  await post('/dapr/events/orders', { data: published[0]?.data });
  const order = await (await app.request('/orders/7')).json() as Order;
  assert.equal(order.status, 'Ready');
});

test('the same order is not taken twice', async () => {
  const order = { id: '7', drink: 'latte' };
  assert.equal((await post('/orders', order)).status, 202);
  assert.equal((await post('/orders', order)).status, 409);
});

test('what is no order is refused', async () => {
  assert.equal((await app.request('/orders', { method: 'POST', body: 'latte' })).status, 400);
});

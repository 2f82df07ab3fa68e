import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { answer } from './barista.js';

const ORDER = '0199d2a0-0000-7000-8000-000000000001';
let books, reports, isPublishing;

beforeEach(() => {
  [books, reports, isPublishing] = [new Map(), [], true];
  globalThis.fetch = async (url, { method = 'GET', body } = {}) => {
    const { pathname, searchParams } = new URL(url);
    const [, , block, , key] = pathname.split('/');
    if (block === 'publish') {
      if (!isPublishing) return new Response('no broker', { status: 500 });
      reports.push({ topic: key, id: searchParams.get('metadata.cloudevent.id'), data: JSON.parse(body) });
    } else if (method === 'GET') {
      return books.has(key) ? Response.json(books.get(key)) : new Response(null, { status: 204 });
    } else {
      const [{ key, value, etag }] = JSON.parse(body);
      if (etag === '' && books.has(key)) return new Response('', { status: 409 });
      books.set(key, value);
    }
    return new Response(null, { status: 204 });
  };
});

async function deliver(data) {
  const [{ route }] = await (await answer(new Request('http://barista-api/dapr/subscribe'))).json();
  const event = { id: '1', time: '2026-01-01T00:00:00Z', data };
  const request = new Request(`http://barista-api${route}`, { method: 'POST', body: JSON.stringify(event) });
  return (await (await answer(request)).json()).status;
}

const order = (itemType) => ({ orderId: ORDER, itemLines: [{ itemLineId: 'line-1', itemType, itemStatus: 0 }] });

test('a drink is made, kept and reported', async () => {
  assert.equal(await deliver(order(5)), 'SUCCESS');
  const itemLines = [{ itemLineId: 'line-1', itemType: 5 }];
  assert.deepEqual(books.get(`barista-order-${ORDER}`), { orderedAt: '2026-01-01T00:00:00Z', itemLines });
  assert.deepEqual(reports, [
    { topic: 'baristaorderupdated', id: `${ORDER}-barista-made`, data: { orderId: ORDER, itemLines } },
  ]);
});

test('an order that comes twice is made once and reported with the same id', async () => {
  await deliver(order(5));
  await deliver(order(4));
  assert.equal(books.get(`barista-order-${ORDER}`).itemLines[0].itemType, 5);
  assert.deepEqual(reports[0], reports[1]);
});

test('what is no order of drinks is dropped and leaves nothing', async () => {
  const foreign = [order(6), 'latte', null, { orderId: 'a||b', itemLines: [] }, { orderId: ORDER, itemLines: [{}] }];
  for (const data of foreign) assert.equal(await deliver(data), 'DROP');
  assert.equal(books.size + reports.length, 0);
});

test('a report that cannot be published fails the delivery, and comes with the next', async () => {
  isPublishing = false;
  await assert.rejects(deliver(order(0)), /no broker/);
  isPublishing = true;
  assert.equal(await deliver(order(0)), 'SUCCESS');
  assert.equal(reports.length, 1);
});

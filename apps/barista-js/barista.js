// Makes the coffee shop's drinks, as barista-api does in Rust: the same events, the same books.

const DAPR = 'http://localhost:3500/v1.0';
const BOOKS = `${DAPR}/state/statestore`;
const PUBSUB = 'baristapubsub';
const FIRST_FOOD = 6; // items before it are drinks
const ORDER_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i; // a UUID

const SUBSCRIPTIONS = [{
  pubsubname: PUBSUB,
  topic: 'baristaorderplaced',
  route: '/dapr/events/orders',
  deadLetterTopic: 'baristaorderplaced-dead',
}];

// What is delivered to it; nothing is routed here from outside.
export async function answer(request) {
  switch (`${request.method} ${new URL(request.url).pathname}`) {
    case 'GET /dapr/subscribe':
      return Response.json(SUBSCRIPTIONS);
    case 'POST /dapr/events/orders':
      return Response.json({ status: await make(await request.json()) });
    default:
      return new Response(null, { status: 404 });
  }
}

// Makes an order's drinks. A second delivery of the same order makes nothing, and reports again what was made: the
// first report may never have been sent. What throws is delivered again.
async function make({ data: order, time }) {
  if (!isOrder(order)) {
    console.error('an event is no order of drinks', JSON.stringify(order));
    return 'DROP';
  }
  const { orderId } = order;
  const itemLines = await keep(orderId, {
    orderedAt: time,
    itemLines: order.itemLines.map(({ itemLineId, itemType }) => ({ itemLineId, itemType })),
  });
  // The same id each time: whoever gets both knows.
  const id = `metadata.cloudevent.id=${orderId}-barista-made`;
  await post(`${DAPR}/publish/${PUBSUB}/baristaorderupdated?${id}`, { orderId, itemLines });
  console.log(`order ${orderId}: drinks by JavaScript`);
  return 'SUCCESS';
}

function isOrder(order) {
  const isDrink = (line) => typeof line?.itemLineId === 'string' && Number.isInteger(line.itemType)
    && line.itemType >= 0 && line.itemType < FIRST_FOOD;
  return ORDER_ID.test(order?.orderId) && Array.isArray(order.itemLines) && order.itemLines.every(isDrink);
}

// Writes what was made into the books, unless it is there; answers what they have.
async function keep(orderId, made) {
  const key = `barista-order-${orderId.toLowerCase()}`;
  const first = { etag: '', options: { concurrency: 'first-write' } };
  const reply = await post(BOOKS, [{ key, value: made, ...first }]);
  if (reply.status !== 409) return made.itemLines;
  const before = await fetch(`${BOOKS}/${key}`);
  if (before.status !== 200) throw new Error(`${key} was there and is gone: ${before.status}`);
  return (await before.json()).itemLines;
}

async function post(url, body) {
  const headers = { 'content-type': 'application/json' };
  const reply = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) });
  if (!reply.ok && reply.status !== 409) throw new Error(`${url}: ${reply.status} ${await reply.text()}`);
  return reply;
}

// Node, which runs the tests, has no such events.
globalThis.addEventListener?.('fetch', (event) => event.respondWith(answer(event.request)));

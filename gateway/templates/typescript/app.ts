// The package's router. Each request runs it in a fresh instance: what is to last goes into a store.
import { Hono } from 'hono';
import { publish, state } from './dapr';

export interface Order {
  id: string;
  drink: string;
  status: 'Placed' | 'Ready';
}

/** `env` of the package in wasmgate.toml. */
export interface Env {
  Bindings: Record<string, string>;
}

const orders = state<Order>('statestore');
const app = new Hono<Env>();

app.get('/:name', (c) => c.text(`Hello, ${c.req.param('name')}!\n`));

// Keeps a new order and tells whoever brews.
app.post('/orders', async (c) => {
  const asked: Partial<Order> = await c.req.json().catch(() => null) ?? {};
  if (!asked.id || !asked.drink) return c.json({ error: 'an order has an id and a drink' }, 400);
  const order: Order = { id: asked.id, drink: asked.drink, status: 'Placed' };
  if (!await orders.create(order.id, order)) return c.json({ error: 'there is such an order already' }, 409);
  await publish('pubsub', 'orders', order);
  return c.json(order, 202);
});

app.get('/orders/:id', async (c) => {
  const order = await orders.get(c.req.param('id'));
  return order ? c.json(order) : c.json({ error: 'there is no such order' }, 404);
});

// What the package wants to be told of, and where: paths below /dapr are closed from outside.
app.get('/dapr/subscribe', (c) => c.json([
  { pubsubname: 'pubsub', topic: 'orders', route: '/dapr/events/orders', deadLetterTopic: 'orders-dead' },
]));

// What throws is tried again, and then goes to `orders-dead`; the same event may come twice.
app.post('/dapr/events/orders', async (c) => {
  const { data } = await c.req.json<{ data: Order }>();
  await orders.update(data.id, (order) => order && { ...order, status: 'Ready' });
  return c.json({ status: 'SUCCESS' });
});

// While it is built: the router is then made, and no request has to.
app.router.match('GET', '/');

export default app;

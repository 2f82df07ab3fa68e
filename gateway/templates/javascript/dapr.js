// State and events by Dapr's HTTP API, which the gateway answers: https://docs.dapr.io/reference/api/
const call = async (method, path, body) => {
  const headers = body === undefined ? {} : { 'content-type': 'application/json' };
  const reply = await fetch(`http://localhost:3500/v1.0${path}`, { method, headers, body: JSON.stringify(body) });
  // 409: somebody else was faster.
  if (!reply.ok && reply.status !== 409) throw new Error(`${method} ${path}: ${reply.status} ${await reply.text()}`);
  return reply;
};

export const publish = (pubsub, topic, data) => call('POST', `/publish/${pubsub}/${topic}`, data);

export const state = (store) => {
  const read = async (key) => {
    const reply = await call('GET', `/state/${store}/${encodeURIComponent(key)}`);
    return { value: reply.status === 204 ? undefined : await reply.json(), etag: reply.headers.get('etag') ?? '' };
  };
  // With an ETag, only over the value that has it; with an empty one, only where there is none.
  const write = async (key, value, etag) => {
    const first = etag === undefined ? {} : { etag, options: { concurrency: 'first-write' } };
    return (await call('POST', `/state/${store}`, [{ key, value, ...first }])).ok;
  };
  return {
    get: async (key) => (await read(key)).value,
    save: (key, value) => write(key, value),
    create: (key, value) => write(key, value, ''), // false: it is there already
    remove: (key) => call('DELETE', `/state/${store}/${encodeURIComponent(key)}`),
    // Reads, changes and writes, and again if somebody else was faster; undefined changes nothing.
    async update(key, change) {
      for (;;) {
        const { value, etag } = await read(key);
        const changed = change(value);
        if (changed === undefined || await write(key, changed, etag)) return changed;
      }
    },
  };
};

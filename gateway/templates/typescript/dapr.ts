// State and events by Dapr's HTTP API, which the gateway answers: https://docs.dapr.io/reference/api/
async function call(method: string, path: string, body?: unknown): Promise<Response> {
  const headers: HeadersInit = body === undefined ? {} : { 'content-type': 'application/json' };
  const reply = await fetch(`http://localhost:3500/v1.0${path}`, { method, headers, body: JSON.stringify(body) });
  // 409: somebody else was faster.
  if (!reply.ok && reply.status !== 409) throw new Error(`${method} ${path}: ${reply.status} ${await reply.text()}`);
  return reply;
}

export const publish = (pubsub: string, topic: string, data: unknown) => call('POST', `/publish/${pubsub}/${topic}`, data);

export function state<T>(store: string) {
  const read = async (key: string): Promise<{ value?: T; etag: string }> => {
    const reply = await call('GET', `/state/${store}/${encodeURIComponent(key)}`);
    return { value: reply.status === 204 ? undefined : await reply.json(), etag: reply.headers.get('etag') ?? '' };
  };
  // With an ETag, only over the value that has it; with an empty one, only where there is none.
  const write = async (key: string, value: T, etag?: string) => {
    const first = etag === undefined ? {} : { etag, options: { concurrency: 'first-write' } };
    return (await call('POST', `/state/${store}`, [{ key, value, ...first }])).ok;
  };
  return {
    get: async (key: string) => (await read(key)).value,
    save: (key: string, value: T) => write(key, value),
    /** False if it is there already. */
    create: (key: string, value: T) => write(key, value, ''),
    remove: (key: string) => call('DELETE', `/state/${store}/${encodeURIComponent(key)}`),
    /** Reads, changes and writes, and again if somebody else was faster; undefined changes nothing. */
    async update(key: string, change: (value?: T) => T | undefined): Promise<T | undefined> {
      for (;;) {
        const { value, etag } = await read(key);
        const changed = change(value);
        if (changed === undefined || await write(key, changed, etag)) return changed;
      }
    },
  };
}

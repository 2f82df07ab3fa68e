import { getEnvironment } from 'wasi:cli/environment@0.2.10';
import app, { type Env } from './app';

// What `env` of the package in wasmgate.toml says is in `c.env`.
addEventListener('fetch', ((event: FetchEvent) => {
  const env = Object.fromEntries(getEnvironment()) as Env['Bindings'];
  event.respondWith(Promise.resolve(app.fetch(event.request, env)));
}) as EventListener);

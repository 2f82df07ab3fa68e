import { getEnvironment } from 'wasi:cli/environment@0.2.10';
import app from './app.js';

// What `env` of the package in wasmgate.toml says is in `c.env`.
addEventListener('fetch', (event) => {
  event.respondWith(app.fetch(event.request, Object.fromEntries(getEnvironment())));
});

// Makes build/app.wasm of the bundle build/app.js: a JavaScript engine that has read it already.

import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { componentize } from '@bytecodealliance/componentize-js';

try {
  const { component } = await componentize({
    sourcePath: 'build/app.js',
    witPath: 'wit',
    worldName: 'app',
    // Where the engine is kept compiled: the second build takes a third of the time.
    env: { XDG_CACHE_HOME: resolve('node_modules/.cache') },
  });
  await writeFile('build/app.wasm', component);
} catch (error) {
  console.error(error.message);
  process.exit(1);
}

// Makes build/barista.wasm: a JavaScript engine that has read barista.js already.

import { mkdir, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { componentize } from '@bytecodealliance/componentize-js';

try {
  const { component } = await componentize({
    sourcePath: 'barista.js',
    witPath: '../../gateway/templates/shared/app.wit',
    worldName: 'app',
    env: { XDG_CACHE_HOME: resolve('node_modules/.cache') },
  });
  await mkdir('build', { recursive: true });
  await writeFile('build/barista.wasm', component);
} catch (error) {
  console.error(error.message);
  process.exit(1);
}

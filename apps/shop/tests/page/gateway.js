// The gateway with the repository's own wasmgate.toml, on free ports and with data of its own.

import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export const root = join(dirname(fileURLToPath(import.meta.url)), "../../../..");

/** Starts it; answers with where it listens, and how to end it. */
export async function startGateway() {
  const folder = await mkdtemp(join(tmpdir(), "shop-page-"));
  const toml = await readFile(join(root, "wasmgate.toml"), "utf8");
  const moved = toml
    .replaceAll('"target/', `"${root}/target/`)
    .replaceAll('"deploy/', `"${root}/deploy/`);
  await writeFile(join(folder, "wasmgate.toml"), moved);
  const binary = process.env.WASMGATE ?? join(root, "target/debug/wasmgate");
  const ports = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
  const gateway = spawn(binary, ["up", ...ports], { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
  let log = "";
  gateway.stderr.on("data", (text) => (log += text));
  const ended = new Promise((resolve, reject) => {
    gateway.once("exit", resolve);
    gateway.once("error", reject);
  });
  const stop = async () => {
    gateway.kill("SIGKILL");
    await ended;
    await rm(folder, { recursive: true });
  };
  return { url: await address(gateway, ended, () => log), stop };
}

/** Where it says that it listens. */
async function address(gateway, ended, log) {
  const announced = new Promise((resolve) => {
    createInterface({ input: gateway.stdout }).on("line", (line) => {
      const found = /^listening on (http:\S+)/.exec(line);
      if (found) resolve(`${found[1]}/`);
    });
  });
  const failed = ended.then((status) => {
    throw new Error(`the gateway ended (${status}):\n${log()}`);
  });
  failed.catch(() => {});
  return Promise.race([announced, failed]);
}

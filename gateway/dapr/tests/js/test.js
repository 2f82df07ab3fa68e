// The official SDK, over HTTP, against the embedded runtime. Exits 0 if everything holds.
//
// DAPR_PORT is where the runtime listens, APP_HOST and APP_PORT where this app does. The runtime knows it as
// app `js`; a second app `echo` answers with the body it gets.
const assert = require("node:assert/strict");
const { CommunicationProtocolEnum, DaprClient, DaprServer, HttpMethod } = require("@dapr/dapr");

const common = {
  daprHost: "127.0.0.1",
  daprPort: process.env.DAPR_PORT,
  communicationProtocol: CommunicationProtocolEnum.HTTP,
  daprApiToken: process.env.DAPR_API_TOKEN,
};

function received(name) {
  let take;
  const promise = new Promise((resolve, reject) => {
    take = resolve;
    setTimeout(() => reject(new Error(`${name} never came`)), 30_000).unref();
  });
  return { promise, take };
}

async function state(client) {
  await client.state.save("statestore", [
    { key: "a", value: { n: 1 } },
    { key: "b", value: "text" },
  ]);
  assert.deepEqual(await client.state.get("statestore", "a"), { n: 1 });
  const bulk = await client.state.getBulk("statestore", ["a", "b", "none"]);
  assert.equal(bulk.find((entry) => entry.key === "b").data, "text");
  const etag = bulk.find((entry) => entry.key === "a").etag;
  const stale = await client.state.save("statestore", [
    { key: "a", value: 2, etag: String(Number(etag) + 1000), options: { concurrency: 1 } },
  ]).catch((error) => ({ error }));
  assert.ok(stale?.error, "a wrong ETag must be refused");
  await client.state.transaction("statestore", [
    { operation: "upsert", request: { key: "c", value: 3 } },
    { operation: "delete", request: { key: "b" } },
  ]);
  assert.equal(await client.state.get("statestore", "c"), 3);
  assert.equal(await client.state.get("statestore", "b"), "");
  const found = await client.state.query("statestore", {
    filter: { EQ: { n: 1 } }, sort: [{ key: "n", order: "DESC" }], page: { limit: 10 },
  });
  assert.deepEqual(found.results.map((result) => result.key), ["a"]);
  await client.state.delete("statestore", "a");
  assert.equal(await client.state.get("statestore", "a"), "");
}

async function main() {
  const server = new DaprServer({
    serverHost: process.env.APP_HOST,
    serverPort: process.env.APP_PORT,
    communicationProtocol: CommunicationProtocolEnum.HTTP,
    clientOptions: common,
  });
  const event = received("the event");
  const bulk = [received("the first bulk event"), received("the second bulk event")];
  const tick = received("the cron binding");
  await server.pubsub.subscribe("pubsub", "orders", async (data) => event.take(data));
  await server.pubsub.subscribe("pubsub", "many", async (data) => bulk[data.n].take(data));
  await server.binding.receive("tick", async () => tick.take());
  await server.invoker.listen("hello", async ({ body }) => ({ hello: JSON.parse(body).name }), {
    method: HttpMethod.POST,
  });
  await server.start();
  const client = new DaprClient(common);
  // The runtime asks an app again until it is there; publish once it knows the subscription.
  for (;;) {
    const { subscriptions } = await client.metadata.get();
    if (subscriptions.length === 2) break;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }

  await state(client);

  assert.equal((await client.pubsub.publish("pubsub", "orders", { id: 7 })).error, undefined);
  assert.deepEqual(await event.promise, { id: 7 });
  const many = await client.pubsub.publishBulk("pubsub", "many", [{ n: 0 }, { n: 1 }]);
  assert.deepEqual(many.failedMessages, []);
  await Promise.all(bulk.map((one) => one.promise));
  const unknown = await client.pubsub.publish("nosuch", "t", {});
  assert.match(String(unknown.error), /ERR_PUBSUB_NOT_FOUND/);

  const echoed = await client.invoker.invoke("echo", "any/path", HttpMethod.POST, { x: 1 });
  assert.deepEqual(echoed, { x: 1 });
  const own = await client.invoker.invoke("js", "hello", HttpMethod.POST, { name: "you" });
  assert.deepEqual(own, { hello: "you" });
  await assert.rejects(client.invoker.invoke("nobody", "x", HttpMethod.GET), /ERR_DIRECT_INVOKE/);

  await client.binding.send("files", "create", "content", { fileName: "f.txt" });
  assert.equal(await client.binding.send("files", "get", undefined, { fileName: "f.txt" }), "content");
  await tick.promise;

  assert.deepEqual(await client.secret.get("secretstore", "GREETING"), { GREETING: "hello" });
  assert.deepEqual((await client.secret.getBulk("secretstore")).GREETING, { GREETING: "hello" });

  assert.equal((await client.lock.lock("lockstore", "r", "me", 60)).success, true);
  assert.equal((await client.lock.lock("lockstore", "r", "you", 60)).success, false);
  assert.equal((await client.lock.unlock("lockstore", "r", "me")).status, 0);

  await client.metadata.set("colour", "red");
  const metadata = await client.metadata.get();
  assert.equal(metadata.id, "js");
  assert.equal(metadata.extended.colour, "red");
  assert.ok(metadata.components.some((component) => component.name === "statestore"));
  assert.equal(await client.health.isHealthy(), true);
  await server.stop();
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);

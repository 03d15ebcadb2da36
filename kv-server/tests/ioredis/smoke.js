// What an application does with ioredis, against the server at argv[2], protocol argv[3].

const assert = require("node:assert");
const Redis = require("ioredis");

async function main(port, protocol) {
  const redis = new Redis({
    port,
    protocol,
    connectionName: "smoke",
    enableReadyCheck: true,
    maxRetriesPerRequest: 0,
    retryStrategy: null,
  });
  redis.on("error", (error) => {
    console.error(error);
    process.exit(1);
  });
  await new Promise((ready) => redis.once("ready", ready));
  assert.equal(await redis.ping(), "PONG");
  assert.equal(await redis.client("GETNAME"), "smoke");

  assert.equal(await redis.set("k", "v"), "OK");
  assert.equal(await redis.get("k"), "v");
  assert.equal(await redis.get("none"), null);
  assert.equal(await redis.set("k", "w", "EX", 100, "NX"), null);
  assert.equal(await redis.set("k", "w", "GET"), "v");
  assert.equal(await redis.del("k", "none"), 1);
  assert.equal(await redis.mset({ a: 1, b: 2 }), "OK");
  assert.deepEqual(await redis.mget("a", "none", "b"), ["1", null, "2"]);
  assert.equal(await redis.incrby("n", 5), 5);
  assert.equal(await redis.incrbyfloat("f", 0.5), "0.5");
  assert.equal(await redis.expire("n", 100), 1);
  assert.ok((await redis.ttl("n")) > 90);
  const binary = Buffer.from([0, 13, 10, 255]);
  assert.equal(await redis.set("binary", binary), "OK");
  assert.deepEqual(await redis.getBuffer("binary"), binary);

  const replies = await redis.pipeline().set("p", 1).incr("p").get("none").incr("binary").exec();
  assert.deepEqual(replies.slice(0, 3), [[null, "OK"], [null, 2], [null, null]]);
  assert.match(replies[3][0].message, /^ERR value is not an integer/);
  assert.deepEqual(await redis.multi().incr("p").get("p").exec(), [[null, 3], [null, "3"]]);

  await redis.watch("p");
  const other = redis.duplicate();
  await other.incr("p");
  assert.equal(await redis.multi().get("p").exec(), null);
  other.disconnect();

  const numbers = Array.from({ length: 1000 }, (_, number) => [`key:${number}`, number]);
  await redis.mset(new Map(numbers));
  const found = new Set();
  for await (const keys of redis.scanStream({ match: "key:*", count: 50 })) {
    keys.forEach((key) => found.add(key));
  }
  assert.equal(found.size, 1000);
  await assert.rejects(redis.call("NOSUCH", "x"), /ERR unknown command 'NOSUCH'/);
  assert.match(await redis.info(), /server_name:kv-server/);
  assert.equal(await redis.quit(), "OK");
}

main(Number(process.argv[2]), Number(process.argv[3])).catch((error) => {
  console.error(error);
  process.exit(1);
});

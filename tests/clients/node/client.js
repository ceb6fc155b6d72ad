// kafkajs as a foreign client; see ../README.md for the command line.
'use strict';

const crypto = require('crypto');
const fs = require('fs');
const path = require('path');
const { createRequire } = require('module');

// The packages are in the cache folder that the driver names, not beside this file.
const load = createRequire(path.join(process.env.NODE_CLIENT_MODULES || __dirname, 'package.json'));
const { Kafka, CompressionTypes, CompressionCodecs, Partitioners, logLevel } = load('kafkajs');
const lz4 = load('lz4-napi');
const zstd = load('@bokuweb/zstd-wasm');

CompressionCodecs[CompressionTypes.Snappy] = load('kafkajs-snappy');
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: async (encoder) => lz4.compressFrameSync(encoder.buffer),
  decompress: async (buffer) => lz4.decompressFrameSync(buffer),
});
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async (encoder) => Buffer.from(zstd.compress(encoder.buffer, 3)),
  decompress: async (buffer) => Buffer.from(zstd.decompress(buffer)),
});

const codecs = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD,
};

async function produce(kafka, options) {
  const producer = kafka.producer({
    createPartitioner: Partitioners.DefaultPartitioner,
    idempotent: true,
    maxInFlightRequests: 1,
  });
  await producer.connect();
  const lines = fs.readFileSync(options.file, 'utf8').trimEnd().split('\n');
  for (let at = 0; at < lines.length; at += 500) {
    const messages = lines.slice(at, at + 500).map((line) => {
      const tab = line.indexOf('\t');
      return { key: line.slice(0, tab), value: line.slice(tab + 1) };
    });
    await producer.send({ topic: options.topic, acks: -1, compression: codecs[options.codec], messages });
  }
  await producer.disconnect();
  console.log('SENT', lines.length);
}

async function consume(kafka, options) {
  const rate = Number(options.rate || 0);
  const consumer = kafka.consumer({
    groupId: options.group,
    sessionTimeout: 6000,
    heartbeatInterval: 500,
    rebalanceTimeout: 10000,
  });
  consumer.on(consumer.events.CRASH, ({ payload }) => {
    console.error(payload.error);
    // It starts again by itself after an error that it takes for transient.
    if (!payload.restart) process.exit(1);
  });
  process.on('SIGTERM', async () => {
    await consumer.disconnect();
    process.exit(0);
  });
  await consumer.connect();
  await consumer.subscribe({ topics: options.topic.split(','), fromBeginning: true });
  await consumer.run({
    eachBatchAutoResolve: false,
    autoCommitInterval: 500,
    eachBatch: async ({ batch, resolveOffset, heartbeat, commitOffsetsIfNecessary, isRunning, isStale }) => {
      for (let at = 0; at < batch.messages.length && isRunning() && !isStale(); at += 100) {
        const some = batch.messages.slice(at, at + 100);
        const out = some.map(({ offset, key, value }) => {
          const digest = crypto.createHash('sha1').update(value).digest('hex');
          return `REC\t${batch.topic}\t${batch.partition}\t${offset}\t${key}\t${digest}\n`;
        });
        await new Promise((done) => process.stdout.write(out.join(''), done));
        resolveOffset(some[some.length - 1].offset);
        await heartbeat();
        await commitOffsetsIfNecessary();
        if (rate) await new Promise((done) => setTimeout(done, (1000 * some.length) / rate));
      }
    },
  });
}

async function main() {
  const [verb, ...rest] = process.argv.slice(2);
  const options = {};
  for (let at = 0; at < rest.length; at += 2) options[rest[at].replace(/^--/, '')] = rest[at + 1];
  await zstd.init();
  const kafka = new Kafka({
    clientId: 'kafkajs',
    brokers: options.bootstrap.split(','),
    logLevel: logLevel.ERROR,
    retry: { retries: 8 },
  });
  if (verb === 'produce') await produce(kafka, options);
  else await consume(kafka, options);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});

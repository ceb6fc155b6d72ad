#!/usr/bin/env python3
"""confluent-kafka (librdkafka) as a foreign client; see ../README.md for the command line."""

import argparse
import hashlib
import signal
import sys
import time

from confluent_kafka import Consumer, KafkaException, Producer


def produce(options):
    """Sends FILE's `key TAB value` lines; ends when all are acknowledged."""
    problems = []
    producer = Producer(
        {
            "bootstrap.servers": options.bootstrap,
            "acks": "all",
            "enable.idempotence": True,
            "compression.type": options.codec,
            "linger.ms": 20,
        }
    )

    def delivered(error, _):
        if error is not None:
            problems.append(error)

    count = 0
    with open(options.file, "rb") as lines:
        for line in lines:
            key, value = line.rstrip(b"\n").split(b"\t", 1)
            while True:
                try:
                    producer.produce(options.topic, key=key, value=value, on_delivery=delivered)
                    break
                except BufferError:
                    producer.poll(0.1)
            producer.poll(0)
            count += 1
    left = producer.flush(60)
    if left or problems:
        sys.exit(f"{left} not delivered; {problems[:3]}")
    print("SENT", count)


def consume(options):
    """Reads as one member of GROUP until SIGTERM; stores an offset after its record was printed."""
    ended = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    consumer = Consumer(
        {
            "bootstrap.servers": options.bootstrap,
            "group.id": options.group,
            "auto.offset.reset": "earliest",
            "enable.auto.offset.store": False,
            "auto.commit.interval.ms": 500,
            "session.timeout.ms": 6000,
            "heartbeat.interval.ms": 500,
            "check.crcs": True,
        }
    )
    consumer.subscribe(options.topic.split(","))
    out = sys.stdout
    count = 0
    while not ended:
        message = consumer.poll(0.1)
        if message is None:
            continue
        if message.error():
            raise KafkaException(message.error())
        digest = hashlib.sha1(message.value()).hexdigest()
        out.write(
            f"REC\t{message.topic()}\t{message.partition()}\t{message.offset()}\t{message.key().decode()}\t{digest}\n"
        )
        out.flush()
        consumer.store_offsets(message)
        count += 1
        if options.rate and count % 100 == 0:
            time.sleep(100 / options.rate)
    consumer.close()


def main():
    """Reads the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("verb", choices=("produce", "consume"))
    for name in ("bootstrap", "topic", "codec", "file", "group"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--rate", type=int, default=0)
    options = parser.parse_args()
    produce(options) if options.verb == "produce" else consume(options)


main()

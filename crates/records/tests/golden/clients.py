"""Sends the same records with two clients and each codec, and keeps the batches that arrived. See README.md."""

import glob
import struct
import sys
import time

import confluent_kafka
import kafka
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

BROKER, LOG_DIR, OUT = sys.argv[1:]
a = AdminClient({"bootstrap.servers": BROKER})
names = ["none", "gzip", "snappy", "lz4", "zstd"]
ts = ["rd-" + n for n in names] + ["py-" + n for n in ("none", "gzip")]
for t, f in a.create_topics([NewTopic(t, 1, 1) for t in ts]).items():
    try:
        f.result()
    except Exception as e:
        print(e)
time.sleep(1)
NAMES = [
    "baseOffset",
    "batchLength",
    "partitionLeaderEpoch",
    "magic",
    "crc",
    "attributes",
    "lastOffsetDelta",
    "baseTimestamp",
    "maxTimestamp",
    "producerId",
    "producerEpoch",
    "baseSequence",
    "recordsCount",
]
CUTS = [0, 8, 12, 16, 17, 21, 23, 27, 35, 43, 51, 53, 57, 61]


def dump(name, about, topic):
    d = open(glob.glob(LOG_DIR + "/%s-0/0*.log" % topic)[0], "rb").read()
    (l,) = struct.unpack_from(">i", d, 8)
    d = d[: 12 + l]
    s = (
        "# "
        + about
        + "\n"
        + "".join(d[CUTS[i] : CUTS[i + 1]].hex(" ") + "  # " + NAMES[i] + "\n" for i in range(13))
        + "# records\n"
    )
    s += "".join(d[i : i + 32].hex(" ") + "\n" for i in range(61, len(d), 32))
    open(OUT + "/" + name + ".hex", "w").write(s)


VERSION = confluent_kafka.libversion()[0]
for n in names:
    p = Producer(
        {
            "bootstrap.servers": BROKER,
            "compression.codec": n,
            "enable.idempotence": True,
            "linger.ms": 200,
        }
    )
    for i in range(5):
        p.produce(
            "rd-" + n,
            key=None if i == 1 else "k%d" % i,
            value=None if i == 2 else ("rd value %d " % i) * 20,
            timestamp=1700000000000 + i * (-1) ** i * 100,
            headers=[("a", "1"), ("a", None), ("b", b"\x00\xff")] if i == 3 else None,
        )
    p.flush(10)
    dump(
        "librdkafka-" + n,
        "librdkafka %s, %s, idempotent, five records, as stored" % (VERSION, n),
        "rd-" + n,
    )
for n in ("none", "gzip"):
    p = kafka.KafkaProducer(
        bootstrap_servers=BROKER, compression_type=None if n == "none" else n, linger_ms=200
    )
    for i in range(5):
        p.send(
            "py-" + n,
            key=None if i == 1 else b"k%d" % i,
            value=None if i == 2 else (b"py value %d " % i) * 20,
            timestamp_ms=1700000000000 + i * 100,
            headers=[("a", b"1"), ("a", b"2")] if i == 3 else None,
        )
    p.flush()
    p.close()
    dump(
        "kafka-python-" + n,
        "kafka-python %s, %s, five records, as stored" % (kafka.__version__, n),
        "py-" + n,
    )

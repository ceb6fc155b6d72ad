"""Asks a broker of Apache Kafka about good and bad batches, and writes down what it says. See README.md."""

import glob
import gzip
import socket
import struct
import sys
import time

from confluent_kafka.admin import AdminClient, NewTopic

HOST, PORT = sys.argv[1].split(":")
LOG_DIR, OUT = sys.argv[2:]
TABLE = []
for n in range(256):
    c = n
    for _ in range(8):
        c = (c >> 1) ^ (0x82F63B78 if c & 1 else 0)
    TABLE.append(c)


def crc32c(b):
    c = 0xFFFFFFFF
    for x in b:
        c = TABLE[(c ^ x) & 0xFF] ^ (c >> 8)
    return c ^ 0xFFFFFFFF


def unsigned(n):
    o = bytearray()
    while n >= 0x80:
        o.append(n & 0x7F | 0x80)
        n >>= 7
    o.append(n)
    return bytes(o)


def varint(n):
    return unsigned(n << 1 if n >= 0 else ((n << 1) ^ -1) & 0xFFFFFFFF)


def varlong(n):
    return unsigned(n << 1 if n >= 0 else ((n << 1) ^ -1) & 0xFFFFFFFFFFFFFFFF)


def nullable(b):
    return varint(-1) if b is None else varint(len(b)) + b


def record(off=0, ts=0, key=b"k", value=b"v", headers=(), attrs=0, length=None, raw=None):
    body = (
        raw
        if raw is not None
        else bytes([attrs])
        + varlong(ts)
        + varint(off)
        + nullable(key)
        + nullable(value)
        + varint(len(headers))
        + b"".join(nullable(k) + nullable(v) for k, v in headers)
    )
    return varint(len(body) if length is None else length) + body


BASE = 1700000000000
producer_ids = [9000]


def batch(
    body,
    count,
    attrs=0,
    last_delta=None,
    base=0,
    base_time=BASE,
    max_time=None,
    seq=-1,
    producer=False,
    producer_epoch=-1,
    magic=2,
    crc=None,
    length=None,
    p=-1,
):
    if producer:
        producer_ids[0] += 1
        p = producer_ids[0]
        producer_epoch = 0
    if last_delta is None:
        last_delta = count - 1
    if max_time is None:
        max_time = base_time
    tail = (
        struct.pack(
            ">hiqqqhii", attrs, last_delta, base_time, max_time, p, producer_epoch, seq, count
        )
        + body
    )
    if crc is None:
        crc = crc32c(tail)
    return (
        struct.pack(">qiibI", base, (49 + len(body)) if length is None else length, -1, magic, crc)
        + tail
    )


def records(n, **k):
    return b"".join(record(off=i, **k) for i in range(n))


def zipped(b):
    return gzip.compress(b, mtime=0)


cases = []


def case(name, data, topic="plain", version=8):
    cases.append((name, topic, version, data))


now = int(time.time() * 1000)
FUTURE = 4000000000000
case("one record", batch(records(1), 1))
case("three records", batch(records(3), 3))
case("three records, gzip", batch(zipped(records(3)), 3, attrs=1))
case("idempotent", batch(records(2), 2, producer=True, seq=0))
case("no bytes", b"")
case("eleven bytes", batch(records(1), 1)[:11])
case("sixteen bytes", batch(records(1), 1)[:16])
case("header cut off", batch(records(1), 1)[:40])
case("last byte cut off", batch(records(1), 1)[:-1])
case("length 13", batch(b"", 1, length=13))
case("length 14", batch(b"", 1, length=14)[:26])
case("length 48", batch(b"", 1, length=48)[:60])
case("length 49 without records", batch(b"", 1))
case("length negative", batch(records(1), 1, length=-1))
case("length 2^31-1", batch(records(1), 1, length=0x7FFFFFFF))
case("length one less", batch(records(1), 1, length=49 + len(records(1)) - 1))
for m in (0, 1, 3, -1, 127):
    case("magic %d" % m, batch(records(1), 1, magic=m))
case("two batches", batch(records(1), 1) * 2)
case("batch and five bytes", batch(records(1), 1) + b"hello")
case("batch and twelve zero bytes", batch(records(1), 1) + b"\0" * 12)
case("batch and half a batch", batch(records(1), 1) + batch(records(1), 1)[:30])
case("batch and bad magic", batch(records(1), 1) + batch(records(1), 1, magic=9)[:30])
case("zstd with version 6", batch(b"xxxxx", 1, attrs=4), version=6)
case("zstd with version 6 and two batches", batch(b"xxxxx", 1, attrs=4) * 2, version=6)
case("base offset 5", batch(records(1), 1, base=5))
case("base offset -1", batch(records(1), 1, base=-1))
case("base offset 5, checksum wrong", batch(records(1), 1, base=5, crc=1))
case("too large", batch(records(1, value=b"x" * 1000), 1), topic="small")
case("too large, checksum wrong", batch(records(1, value=b"x" * 1000), 1, crc=1), topic="small")
case("checksum wrong", batch(records(1), 1, crc=1))
case("checksum wrong, control", batch(records(1), 1, crc=1, attrs=0x20))
case("last offset delta -1", batch(records(1), 1, last_delta=-1))
case("last offset delta -2^31", batch(records(1), 1, last_delta=-(2**31)))
case("count 0", batch(b"", 0, last_delta=0))
case("count 0, span 0", batch(b"", 0, last_delta=-1))
case("count -1", batch(records(1), -1, last_delta=0))
case("count 2, span 1", batch(records(2), 2, last_delta=0))
case("count 1, span 2", batch(records(1), 1, last_delta=1))
case("2^31-1 records", batch(records(3)[:22], 2**31 - 1))
case("2^31-1 records, gzip", batch(zipped(records(3)), 2**31 - 1, attrs=1))
case("control bit", batch(records(1), 1, attrs=0x20))
case("control bit, count 0", batch(b"", 0, last_delta=0, attrs=0x20))
case("producer without sequence", batch(records(1), 1, p=5, producer_epoch=0, seq=-1))
case("sequence without producer", batch(records(1), 1, seq=7))
bodies = {
    "trailing byte": (records(2) + b"\0", 2),
    "trailing record": (records(3), 2),
    "one record too few": (records(2), 3),
    "length beyond the end": (records(1) + record(off=1, length=100), 2),
    "length negative in record": (records(1) + record(off=1, length=-1), 2),
    "length too short in record": (records(1) + record(off=1, length=5), 2),
    "length one too long, two records": (record(length=len(record())) + record(off=1), 2),
    "headers count -1": (
        record(raw=b"\0" + varlong(0) + varint(0) + nullable(b"k") + nullable(b"v") + varint(-1)),
        1,
    ),
    "headers count 2^31-1": (
        record(
            raw=b"\0" + varlong(0) + varint(0) + nullable(b"k") + nullable(b"v") + varint(2**31 - 1)
        ),
        1,
    ),
    "header without key": (
        record(
            raw=b"\0"
            + varlong(0)
            + varint(0)
            + nullable(b"k")
            + nullable(b"v")
            + varint(1)
            + varint(-1)
            + varint(-1)
        ),
        1,
    ),
    "header value beyond record": (
        record(
            raw=b"\0"
            + varlong(0)
            + varint(0)
            + nullable(b"k")
            + nullable(b"v")
            + varint(1)
            + nullable(b"h")
            + varint(50)
        ),
        1,
    ),
    "key length beyond record": (
        record(
            raw=b"\0" + varlong(0) + varint(0) + varint(100) + b"k" + nullable(b"v") + varint(0)
        ),
        1,
    ),
    "value length beyond record": (
        record(
            raw=b"\0"
            + varlong(0)
            + varint(0)
            + nullable(b"k")
            + varint(2**31 - 1)
            + b"v"
            + varint(0)
        ),
        1,
    ),
    "key length -2": (
        record(raw=b"\0" + varlong(0) + varint(0) + varint(-2) + nullable(b"v") + varint(0)),
        1,
    ),
    "value length -2^31": (
        record(raw=b"\0" + varlong(0) + varint(0) + nullable(b"k") + varint(-(2**31)) + varint(0)),
        1,
    ),
    "varint too long": (
        record(
            raw=b"\0"
            + varlong(0)
            + b"\x80\x80\x80\x80\x80\x01"
            + nullable(b"k")
            + nullable(b"v")
            + varint(0)
        ),
        1,
    ),
    "varint with spare bits": (
        record(
            raw=b"\0"
            + varlong(0)
            + b"\x80\x80\x80\x80\x70"
            + nullable(b"k")
            + nullable(b"v")
            + varint(0)
        ),
        1,
    ),
    "varint in long form": (
        record(
            raw=b"\0" + varlong(0) + b"\x80\x80\x00" + nullable(b"k") + nullable(b"v") + varint(0)
        ),
        1,
    ),
    "varlong too long": (
        record(
            raw=b"\0"
            + b"\x80" * 10
            + b"\x01"
            + varint(0)
            + nullable(b"k")
            + nullable(b"v")
            + varint(0)
        ),
        1,
    ),
    "record attributes set": (record(attrs=0xFF), 1),
    "duplicate headers": (record(headers=((b"a", b"1"), (b"a", None), (b"", b""))), 1),
    "headers not UTF-8": (record(headers=((b"\xff\xfe", b"1"),)), 1),
    "null key and value": (record(key=None, value=None), 1),
    "offset deltas all 0": (records(1) * 3, 3),
    "offset deltas with a gap": (record(off=0) + record(off=2) + record(off=3), 3),
    "offset deltas descending": (record(off=2) + record(off=1) + record(off=0), 3),
    "offset delta negative": (record(off=-1) + record(off=1), 2),
}
for n, (b, c) in bodies.items():
    case(n, batch(b, c))
    case(n + ", gzip", batch(zipped(b), c, attrs=1), topic="compact")
case("no key", batch(record() + record(off=1, key=None), 2), topic="compact")
case("no key, gzip", batch(zipped(record() + record(off=1, key=None)), 2, attrs=1), topic="compact")
case("no keys", batch(records(4, key=None), 4), topic="compact")
case(
    "no key, then malformed",
    batch(record(key=None) + record(off=1, length=100), 2),
    topic="compact",
)
case(
    "no key, and late",
    batch(record(off=0, key=None) + record(off=1), 2, base_time=FUTURE),
    topic="compact",
)
case("late", batch(records(2), 2, base_time=FUTURE))
case("late, gzip", batch(zipped(records(2)), 2, base_time=FUTURE, attrs=1))
case("second record late", batch(record() + record(off=1, ts=FUTURE - BASE), 2, max_time=FUTURE))
case(
    "second record late, gzip",
    batch(zipped(record() + record(off=1, ts=FUTURE - BASE)), 2, max_time=FUTURE, attrs=1),
)
case("header claims late", batch(records(2), 2, max_time=FUTURE))
case("header claims late, gzip", batch(zipped(records(2)), 2, max_time=FUTURE, attrs=1))
case("late on append time", batch(records(2), 2, base_time=FUTURE), topic="lat")
case("append time from client", batch(records(2), 2, attrs=8))
case("append time from client, gzip", batch(zipped(records(2)), 2, attrs=9))
case("append time from client, no timestamp", batch(records(2), 2, attrs=8, base_time=-1))
case("append time from client on append time", batch(records(2), 2, attrs=8), topic="lat")
case(
    "append time from client on append time, gzip",
    batch(zipped(records(2)), 2, attrs=9),
    topic="lat",
)
case("append time", batch(records(2), 2), topic="lat")
case("append time, gzip", batch(zipped(records(2)), 2, attrs=1), topic="lat")
case("too old", batch(records(2), 2), topic="before")
case("too old, gzip", batch(zipped(records(2)), 2, attrs=1), topic="before")
case(
    "one too old", batch(record() + record(off=1, ts=BASE - now), 2, base_time=now), topic="before"
)
case("not too old", batch(records(2), 2, base_time=now), topic="before")
case("no timestamp", batch(records(2), 2, base_time=-1), topic="before")
case("negative timestamp", batch(records(2), 2, base_time=-5))
case("maximum timestamp too high", batch(records(2), 2, max_time=BASE + 1000))
case("maximum timestamp too low", batch(records(2, ts=9), 2, max_time=BASE))
case(
    "maximum timestamp too low, gzip on compact",
    batch(zipped(records(2, ts=9)), 2, max_time=BASE, attrs=1),
    topic="compact",
)
case("timestamp delta overflows", batch(records(1, ts=2**63 - 1), 1))
for c in (5, 6, 7):
    case("codec %d" % c, batch(records(1), 1, attrs=c))
case("codec 5, checksum wrong", batch(records(1), 1, attrs=5, crc=1))
for c, n in ((1, "gzip"), (2, "snappy"), (3, "lz4"), (4, "zstd")):
    case("garbage, " + n, batch(b"garbage!" * 4, 1, attrs=c), topic="compact")
case("gzip cut off", batch(zipped(records(40))[:-12], 40, attrs=1), topic="compact")
case("unused attributes", batch(records(1), 1, attrs=-128))
case("delete horizon", batch(records(1), 1, attrs=0x40))
case("to zstd", batch(records(3, value=b"x" * 50), 3), topic="zstd")
case("to zstd, malformed", batch(records(3) + b"\0", 3), topic="zstd")
case("gzip to zstd", batch(zipped(records(3)), 3, attrs=1, producer=True, seq=0), topic="zstd")
case("gzip to none", batch(zipped(records(3)), 3, attrs=1), topic="none")
case("offset deltas all 0 to zstd", batch(records(1) * 3, 3), topic="zstd")
a = AdminClient({"bootstrap.servers": sys.argv[1]})
topics = {
    "plain": {},
    "compact": {"cleanup.policy": "compact"},
    "lat": {"message.timestamp.type": "LogAppendTime"},
    "small": {"max.message.bytes": "1000"},
    "before": {"message.timestamp.before.max.ms": "86400000"},
    "zstd": {"compression.type": "zstd"},
    "none": {"compression.type": "uncompressed"},
}
fs = a.create_topics([NewTopic(t, 1, 1, config=c) for t, c in topics.items()])
for t, f in fs.items():
    try:
        f.result()
    except Exception as e:
        print(t, e, file=sys.stderr)
time.sleep(1)


def produce(topic, version, data):
    t = topic.encode()
    body = (
        struct.pack(">hhi", -1, -1, 5000)
        + struct.pack(">i", 1)
        + struct.pack(">h", len(t))
        + t
        + struct.pack(">i", 1)
        + struct.pack(">ii", 0, len(data))
        + data
    )
    req = struct.pack(">hhi", 0, version, 1) + struct.pack(">h", 4) + b"gold" + body
    s = socket.create_connection((HOST, int(PORT)))
    s.settimeout(20)
    s.sendall(struct.pack(">i", len(req)) + req)

    def rd(n):
        b = b""
        while len(b) < n:
            x = s.recv(n - len(b))
            if not x:
                raise EOFError
            b += x
        return b

    try:
        r = rd(struct.unpack(">i", rd(4))[0])
    except EOFError:
        return ("closed",)
    finally:
        s.close()
    p = 4 + 4 + 2 + len(t) + 4 + 4
    err, bo, lat = struct.unpack_from(">hqq", r, p)
    p += 18
    idx = []
    msg = ""
    if version >= 5:
        p += 8
    if version >= 8:
        (n,) = struct.unpack_from(">i", r, p)
        p += 4
        for _ in range(n):
            i, l = struct.unpack_from(">ih", r, p)
            p += 6
            if idx == []:
                print("     ", r[p : p + max(l, 0)].decode())
            if l > 0:
                p += l
            idx.append(i)
        (l,) = struct.unpack_from(">h", r, p)
        p += 2
        if l > 0:
            msg = r[p : p + l].decode()
    return err, bo, lat, idx, msg


def stored(topic, bo):
    d = open(glob.glob(LOG_DIR + "/%s-0/0*.log" % topic)[0], "rb").read()
    p = 0
    while p + 12 <= len(d):
        b, l = struct.unpack_from(">qi", d, p)
        last_delta = struct.unpack_from(">i", d, p + 23)[0]
        if b <= bo <= b + last_delta:
            return d[p : p + 12 + l]
        p += 12 + l


if __name__ == "__main__":
    out = open(OUT, "w")
    out.write(
        "# What Apache Kafka 4.3.1 answered to these bytes in a Produce request, and what it stored.\n# name | topic | produce version | wall clock | sent | error code | refused records | stored (if accepted and not the bytes sent)\n"
    )
    for name, topic, version, data in cases:
        t = int(time.time() * 1000)
        r = produce(topic, version, data)
        if r == ("closed",):
            print(name, "CLOSED")
            continue
        err, bo, lat, idx, msg = r
        print("%-45s %4d %s %s" % (name, err, idx, msg))
        st = "-"
        if err == 0:
            b = stored(topic, bo)
            if b[16:] != data[16 : len(b)] or len(b) > len(data):
                st = b.hex()
        out.write(
            " | ".join(
                [
                    name,
                    topic,
                    str(version),
                    str(lat if lat >= 0 else t),
                    data.hex(),
                    str(err),
                    ",".join(map(str, idx)) or "-",
                    st,
                ]
            )
            + "\n"
        )

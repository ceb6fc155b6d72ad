"""A raw client with exact bookkeeping in mind: the last inflexible versions of a few requests, byte by byte.

It hides nothing: no retries, no reconnects, no batching. What it sends is what its caller asked for.
"""

import socket
import struct
from collections import deque

PRODUCE, FETCH, LIST_OFFSETS, METADATA, OFFSET_COMMIT, OFFSET_FETCH = 0, 1, 2, 3, 8, 9
FIND_COORDINATOR, CREATE_TOPICS, INIT_PRODUCER_ID = 10, 19, 22

ERRORS_TO_RETRY = {
    3: "UNKNOWN_TOPIC_OR_PARTITION",
    5: "LEADER_NOT_AVAILABLE",
    6: "NOT_LEADER_OR_FOLLOWER",
    7: "REQUEST_TIMED_OUT",
    14: "COORDINATOR_LOAD_IN_PROGRESS",
    15: "COORDINATOR_NOT_AVAILABLE",
    16: "NOT_COORDINATOR",
}
DUPLICATE_SEQUENCE_NUMBER = 46


class Refused(Exception):
    """An answer with an error code."""

    def __init__(self, what, code):
        super().__init__(f"{what}: error {code}")
        self.code = code


def _crc_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


_CRC = _crc_table()


def crc32c(data):
    """CRC-32C (Castagnoli)."""
    crc, table = 0xFFFFFFFF, _CRC
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def varint(number):
    """Zigzag varint, as records carry it."""
    number = (number << 1) ^ (number >> 63)
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def batch(values, producer_id=-1, epoch=-1, sequence=-1, timestamp=1_700_000_000_000):
    """One uncompressed batch v2 of values without keys."""
    records = bytearray()
    for delta, value in enumerate(values):
        body = b"\0" + varint(0) + varint(delta) + varint(-1) + varint(len(value)) + value + varint(0)
        records += varint(len(body)) + body
    last = len(values) - 1
    checked = struct.pack(">hiqqqhii", 0, last, timestamp, timestamp, producer_id, epoch, sequence, len(values))
    checked += records
    return struct.pack(">qiibI", 0, 9 + len(checked), -1, 2, crc32c(checked)) + checked


def string(text):
    """A nullable string."""
    if text is None:
        return struct.pack(">h", -1)
    data = text.encode()
    return struct.pack(">h", len(data)) + data


class Reader:
    """Reads an answer field by field."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        """Raw bytes."""
        if count < 0 or self.at + count > len(self.data):
            raise ValueError(f"an answer of {len(self.data)} bytes ends inside a field at {self.at}")
        self.at += count
        return self.data[self.at - count : self.at]

    def num(self, form):
        """One number of struct's kind `form`."""
        return struct.unpack(">" + form, self.take(struct.calcsize(">" + form)))[0]

    def string(self):
        """A nullable string."""
        length = self.num("h")
        return None if length < 0 else self.take(length).decode()

    def varint(self):
        """A zigzag varint."""
        shift = raw = 0
        while True:
            byte = self.take(1)[0]
            raw |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return (raw >> 1) ^ -(raw & 1)

    def array(self, item):
        """An array of what `item` reads."""
        return [item() for _ in range(self.num("i"))]


def batches(data):
    """(base offset, producer id, base sequence, values) of each whole batch; checks the CRC."""
    at = 0
    while at + 61 <= len(data):
        base, length = struct.unpack_from(">qi", data, at)
        end = at + 12 + length
        if end > len(data):
            return
        if crc32c(data[at + 21 : end]) != struct.unpack_from(">I", data, at + 17)[0]:
            raise ValueError(f"the batch at offset {base} has a wrong CRC")
        producer_id, _, sequence, count = struct.unpack_from(">qhii", data, at + 43)
        reader, values = Reader(data[at + 61 : end]), []
        for _ in range(count):
            reader.varint()
            reader.take(1)
            reader.varint()
            reader.varint()
            key = reader.varint()
            reader.take(max(key, 0))
            values.append(reader.take(max(reader.varint(), 0)))
            for _ in range(reader.varint()):
                reader.take(reader.varint())
                reader.take(max(reader.varint(), 0))
        yield base, producer_id, sequence, values
        at = end


class Connection:
    """One connection; `send` and `receive` apart, so that requests can be pipelined."""

    def __init__(self, address, client="raw", limit=30):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=limit)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.client = client
        self.next = 0
        self.waiting = deque()

    def close(self):
        """Closes it."""
        self.socket.close()

    def send(self, api, version, body, tag=None):
        """Sends a request; `receive` gives `tag` back with its answer."""
        header = struct.pack(">hhi", api, version, self.next) + string(self.client)
        self.waiting.append((self.next, tag))
        self.next += 1
        self.socket.sendall(struct.pack(">i", len(header) + len(body)) + header + body)

    def receive(self):
        """The answer to the oldest request: its tag and a reader of it."""
        size = struct.unpack(">i", self._exactly(4))[0]
        reader = Reader(self._exactly(size))
        expected, tag = self.waiting.popleft()
        found = reader.num("i")
        if found != expected:
            raise ValueError(f"correlation id {found} where {expected} was due")
        return tag, reader

    def call(self, api, version, body):
        """Sends a request and waits for its answer."""
        self.send(api, version, body)
        return self.receive()[1]

    def _exactly(self, count):
        parts = []
        while count:
            part = self.socket.recv(min(count, 1 << 20))
            if not part:
                raise ConnectionError("the broker closed the connection")
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def create_topic(self, name, partitions, configs=()):
        """CreateTopics v4 of one topic."""
        body = struct.pack(">i", 1) + string(name) + struct.pack(">ihii", partitions, 1, 0, len(configs))
        for key, value in configs:
            body += string(key) + string(value)
        answer = self.call(CREATE_TOPICS, 4, body + struct.pack(">i?", 30_000, False))
        answer.num("i")
        for name, code, text in answer.array(lambda: (answer.string(), answer.num("h"), answer.string())):
            if code:
                raise Refused(f"CreateTopics {name} ({text})", code)

    def init_producer_id(self):
        """InitProducerId v1: a new id and its epoch."""
        answer = self.call(INIT_PRODUCER_ID, 1, string(None) + struct.pack(">i", 60_000))
        answer.num("i")
        code, producer_id, epoch = answer.num("h"), answer.num("q"), answer.num("h")
        if code:
            raise Refused("InitProducerId", code)
        return producer_id, epoch

    def produce(self, topic, parts, tag=None, acks=-1):
        """Sends Produce v7 of {partition: batch}."""
        body = string(None) + struct.pack(">hii", acks, 30_000, 1) + string(topic) + struct.pack(">i", len(parts))
        for partition, data in parts.items():
            body += struct.pack(">ii", partition, len(data)) + data
        self.send(PRODUCE, 7, body, tag)

    def produced(self):
        """Receives a Produce answer: tag, {partition: (error, base offset)}."""
        tag, answer = self.receive()
        found = {}

        def partition():
            index, code, base = answer.num("i"), answer.num("h"), answer.num("q")
            answer.num("q"), answer.num("q")
            found[index] = (code, base)

        answer.array(lambda: (answer.string(), answer.array(partition)))
        return tag, found

    def list_offset(self, topic, partition, timestamp):
        """ListOffsets v1: -1 the end, -2 the start."""
        body = struct.pack(">ii", -1, 1) + string(topic) + struct.pack(">iiq", 1, partition, timestamp)
        answer = self.call(LIST_OFFSETS, 1, body)

        def one():
            answer.num("i")
            code = answer.num("h")
            answer.num("q")
            return code, answer.num("q")

        ((code, offset),) = answer.array(lambda: (answer.string(), answer.array(one)))[0][1]
        if code:
            raise Refused(f"ListOffsets {topic}-{partition}", code)
        return offset

    def fetch(self, topic, positions, max_wait=200, max_bytes=1 << 20):
        """Fetch v4 of {partition: offset}: {partition: (error, high watermark, bytes)}."""
        body = struct.pack(">iiiibi", -1, max_wait, 1, 8 << 20, 0, 1) + string(topic)
        body += struct.pack(">i", len(positions))
        for partition, offset in positions.items():
            body += struct.pack(">iqi", partition, offset, max_bytes)
        answer = self.call(FETCH, 4, body)
        answer.num("i")
        found = {}

        def partition():
            index, code, high = answer.num("i"), answer.num("h"), answer.num("q")
            answer.num("q")
            answer.array(lambda: (answer.num("q"), answer.num("q")))
            size = answer.num("i")
            found[index] = (code, high, answer.take(max(size, 0)))

        answer.array(lambda: (answer.string(), answer.array(partition)))
        return found

    def find_coordinator(self, group):
        """FindCoordinator v2: (error, "host:port"). The first one makes __consumer_offsets."""
        answer = self.call(FIND_COORDINATOR, 2, string(group) + b"\0")
        answer.num("i")
        code = answer.num("h")
        answer.string(), answer.num("i")
        host = answer.string()
        return code, f"{host}:{answer.num('i')}"

    def offset_commit(self, group, topic, offsets):
        """OffsetCommit v6 from outside the group's membership."""
        body = string(group) + struct.pack(">i", -1) + string("") + struct.pack(">i", 1)
        body += string(topic) + struct.pack(">i", len(offsets))
        for partition, offset in offsets.items():
            body += struct.pack(">iqi", partition, offset, -1) + string("")
        answer = self.call(OFFSET_COMMIT, 6, body)
        answer.num("i")
        topics = answer.array(lambda: (answer.string(), answer.array(lambda: (answer.num("i"), answer.num("h")))))
        return dict(topics[0][1])

    def offset_fetch(self, group, topics=None):
        """OffsetFetch v5: {(topic, partition): offset}, -1 where none is."""
        body = string(group)
        if topics is None:
            body += struct.pack(">i", -1)
        else:
            body += struct.pack(">i", len(topics))
            for topic, count in topics.items():
                body += string(topic) + struct.pack(f">i{count}i", count, *range(count))
        answer = self.call(OFFSET_FETCH, 5, body)
        answer.num("i")
        found = {}

        def partition(topic):
            index, offset = answer.num("i"), answer.num("q")
            answer.num("i"), answer.string()
            found[topic, index] = (answer.num("h"), offset)

        def one():
            topic = answer.string()
            answer.array(lambda: partition(topic))

        answer.array(one)
        code = answer.num("h")
        code = code or next((code for code, _ in found.values() if code), 0)
        if code:
            raise Refused(f"OffsetFetch {group}", code)
        return {place: offset for place, (_, offset) in found.items()}

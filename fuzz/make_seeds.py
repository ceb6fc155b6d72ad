#!/usr/bin/env python3
"""Writes seeds/ anew from the golden files of crates/protocol and crates/records. No dependencies."""

import pathlib
import re
import shutil

HERE = pathlib.Path(__file__).parent
CRATES = HERE.parent / "crates"
SEEDS = HERE / "seeds"


def put(target, name, data):
    folder = SEEDS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")).write_bytes(data)


def annotated_hex(path):
    return bytes.fromhex("".join(line.split("#")[0] for line in path.read_text().splitlines()))


def apis():
    table = (CRATES / "protocol/src/generated/api_table.rs").read_text()
    number = {m[1]: int(m[2]) for m in re.finditer(r"const (\w+): ApiKey = ApiKey\((\d+)\)", table)}
    info = re.compile(
        r"key: ApiKey::(\w+),\s+name: \"(\w+)\",\s+versions: \((\d+), (\d+)\),\s+"
        r"latest_version_unstable: (\w+),\s+flexible_from: (\w+|i16::MAX),"
    )
    for m in info.finditer(table):
        flexible = 1 << 15 if m[6] == "i16::MAX" else int(m[6])
        yield m[2], number[m[1]], int(m[3]), int(m[4]), flexible


def protocol():
    golden = {}
    for path in sorted((CRATES / "protocol/tests/golden").glob("*.hex")):
        for line in path.read_text().splitlines():
            if line and not line.startswith("#"):
                name, version, *data = line.split()
                golden.setdefault((name, int(version)), bytes.fromhex("".join(data)))
    for name, key, first, last, flexible in apis():
        for kind in ("Request", "Response"):
            for version in sorted({first, last}):
                body = golden.get((name + kind, version))
                if body is None:
                    continue
                selector = bytes([key, version - first])
                put(f"{kind.lower()}_decoders", f"{name}-{version}", selector + body)
                if kind == "Request" and version == last:
                    header = key.to_bytes(2) + version.to_bytes(2) + (7).to_bytes(4) + b"\0\1c"
                    put("frame", f"{name}-{version}", header + b"\0" * (version >= flexible) + body)


def records():
    codec = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
    golden = CRATES / "records/tests/golden"
    for path in sorted(golden.glob("*.hex")):
        if path.stem.startswith("value") or path.stat().st_size > 6000:
            continue
        batch = annotated_hex(path)
        put("batches", path.stem, b"\1\x20\5" + batch)
        name = path.stem.split("-")[-1]
        if name in codec:
            put("codecs", path.stem, bytes([codec[name]]) + batch[61:])
    for line in (golden / "kafka-verdicts.txt").read_text().splitlines():
        if line.startswith("#"):
            continue
        name, topic, _, _, sent, *_ = line.split(" | ")
        flags = {"compact": 0x30, "lat": 0x24, "before": 0x28}.get(topic, 0x20)
        target = {"zstd": 4, "none": 0}.get(topic, 5)
        put("batches", "verdict-" + name, bytes([0, flags, target]) + bytes.fromhex(sent))


def recovery():
    at = (300).to_bytes(2)
    edits = {
        "untouched": b"",
        "bit": bytes([0, 1]) + at + b"\1\xff",
        "cut": bytes([1, 1]) + at + b"\0",
        "garbage": bytes([2, 1]) + at + b"\x10" + b"garbage at end !",
        "removed": bytes([3, 0]) + at + b"\0",
        "zeros": bytes([5, 2]) + at + b"\1\0",
    }
    for how in (0x03, 0x07, 0x0F, 0x13):
        for name, edit in edits.items():
            put("recovery", f"{how:02x}-{name}", bytes([how]) + edit)


if SEEDS.exists():
    shutil.rmtree(SEEDS)
protocol()
records()
recovery()

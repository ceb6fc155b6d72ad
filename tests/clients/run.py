#!/usr/bin/env python3
"""Real input through the broker with foreign clients; README.md beside this file tells what is checked.

  run.py [--only python,go] [--records N]
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from support import wire  # noqa: E402
from support.broker import ROOT, WORK, Broker, Results  # noqa: E402

HERE = Path(__file__).resolve().parent
KAFKA_LIBS = Path(os.environ.get("KAFKA_LIBS") or ROOT / "target" / "peers" / "kafka")
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
PARTITIONS = 12
RATE = 6000  # records per second and member, so that a kill comes on the way
LIMIT = 120  # seconds for one produce or one group


class Missing(Exception):
    """A client that this machine cannot have, and why."""


def run(command, limit=600, **more):
    """Runs a set-up command; Missing if it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False, **more)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Missing(f"{command[0]}: {error}") from None
    if done.returncode:
        said = " | ".join((done.stderr or done.stdout).strip().splitlines())
        said = said if len(said) < 500 else f"{said[:250]} ... {said[-250:]}"
        raise Missing(f"{' '.join(map(str, command[:4]))} ... failed: {said}")


def program(name, package=None):
    """The program's path; installed with apt-get if it is missing, the package is known and we may."""
    if package and not shutil.which(name) and os.geteuid() == 0 and shutil.which("apt-get"):
        quiet = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
        try:
            run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", package], env=quiet)
        except Missing:
            run(["apt-get", "update", "-qq"], env=quiet)
            run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", package], env=quiet)
    found = shutil.which(name)
    if not found:
        raise Missing(f"{name} is not installed" + (f" (package {package})" if package else ""))
    return found


def cached(name, sources, build):
    """The folder tests/.work/NAME, built anew when one of the sources has changed."""
    folder = WORK / name
    stamp = folder / ".built"
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
    if not stamp.exists() or stamp.read_text() != digest:
        folder.mkdir(parents=True, exist_ok=True)
        build(folder)
        stamp.write_text(digest)
    return folder


def kcat():
    """Debian's kcat."""
    program("kcat", "kcat")
    return [sys.executable, HERE / "kcat" / "client.py"], {}


def python():
    """confluent-kafka in a venv of its own."""

    def build(folder):
        run([sys.executable, "-m", "venv", "--clear", folder])
        run([folder / "bin" / "pip", "install", "-q", "-r", HERE / "python" / "requirements.txt"])

    folder = cached("python", [HERE / "python" / "requirements.txt"], build)
    return [folder / "bin" / "python", HERE / "python" / "client.py"], {}


def rust():
    """The rdkafka crate."""
    cargo = program("cargo")
    program("cc", "gcc")
    program("make", "make")
    sources = [HERE / "rust" / name for name in ("Cargo.toml", "Cargo.lock", "src/main.rs")]

    def build(folder):
        command = [cargo, "build", "--quiet", "--release", "--locked", "--manifest-path", sources[0]]
        plain = {k: v for k, v in os.environ.items() if not k.startswith("CARGO_") or k == "CARGO_HOME"}
        run(command, limit=600, env=plain | {"CARGO_TARGET_DIR": str(folder)})

    return [cached("rust", sources, build) / "release" / "rdkafka-client"], {}


def node():
    """kafkajs."""
    path = program("node", "nodejs")
    npm = program("npm", "npm")
    sources = [HERE / "node" / "package.json", HERE / "node" / "package-lock.json"]

    def build(folder):
        for source in sources:
            shutil.copy(source, folder)
        run([npm, "ci", "--no-audit", "--no-fund"], cwd=folder)

    folder = cached("node", sources, build)
    return [path, HERE / "node" / "client.js"], {"NODE_CLIENT_MODULES": str(folder)}


def go():
    """franz-go."""
    path = program("go", "golang-go")

    def build(folder):
        run([path, "build", "-o", folder / "client", "."], cwd=HERE / "go")

    sources = [HERE / "go" / name for name in ("main.go", "go.mod", "go.sum")]
    return [cached("go", sources, build) / "client"], {}


def java():
    """kafka-clients, from the jars that tests/peers fetches."""
    path = program("java", "openjdk-17-jdk-headless")
    compiler = program("javac", "openjdk-17-jdk-headless")
    if not (KAFKA_LIBS / ".complete").exists():
        program("mvn", "maven")
        run(["bash", ROOT / "tests" / "peers" / "kafka.sh", "libs"])
    jars = f"{KAFKA_LIBS}/*"

    def build(folder):
        run([compiler, "-d", folder, "-cp", jars, HERE / "java" / "Client.java"])

    folder = cached("java", [HERE / "java" / "Client.java"], build)
    logging = f"-Dlog4j2.configurationFile={ROOT / 'tests' / 'peers' / 'log4j2.xml'}"
    flags = ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", logging]
    return [path, *flags, "-cp", f"{folder}:{jars}", "Client"], {}


CLIENTS = {"kcat": kcat, "python": python, "rust": rust, "node": node, "go": go, "java": java}


def real_input():
    """The commits beside the checkout, keyed by the first path component of the first file."""
    path = ROOT.parent / "shared" / "data" / "commits.jsonl"
    if not path.exists():
        return None
    pairs = []
    for line in path.read_text().splitlines():
        files = json.loads(line)["files"]
        pairs.append((files[0].split("/")[0] if files else "(none)", line))
    return pairs


def stand_in():
    """Events of the same shape: few keys, unevenly used, values from small to large."""
    chance = random.Random(20260101)
    roots = [f"part{number}" for number in range(60)]
    pairs = []
    for number in range(14_000):
        root = roots[min(int(chance.expovariate(0.12)), len(roots) - 1)]
        files = [f"{root}/{chance.getrandbits(40):x}.rs" for _ in range(min(int(chance.expovariate(0.2)) + 1, 60))]
        event = {"commit": f"{chance.getrandbits(48):012x}", "time": 1_300_000_000 + number, "files": files}
        pairs.append((root, json.dumps(event, separators=(",", ":"))))
    return pairs


class Input:
    """What is sent."""

    def __init__(self, records):
        pairs = real_input()
        self.name = "shared/data/commits.jsonl" if pairs else "a generated stand-in"
        pairs = (pairs or stand_in())[:records]
        self.file = WORK / "run" / "input.tsv"
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text("".join(f"{key}\t{value}\n" for key, value in pairs))
        self.count = len(pairs)
        self.keys = defaultdict(list)
        for key, value in pairs:
            self.keys[key].append(hashlib.sha1(value.encode()).hexdigest())


class Member(threading.Thread):
    """A client's process that reads; collects what it prints."""

    def __init__(self, client, arguments, log):
        super().__init__(daemon=True)
        command, more = client
        self.log = log
        with open(log, "wb") as errors:
            self.process = subprocess.Popen(
                [str(part) for part in command] + arguments,
                stdout=subprocess.PIPE,
                stderr=errors,
                stdin=subprocess.DEVNULL,
                env=os.environ | more,
            )
        self.pid = self.process.pid
        self.seen = []
        self.bad = []
        self.start()

    def run(self):
        for line in self.process.stdout:
            if not line.endswith(b"\n"):
                break  # killed while it wrote
            fields = line.decode().rstrip("\n").split("\t")
            if fields[0] == "REC" and len(fields) == 6:
                self.seen.append((fields[1], int(fields[2]), int(fields[3]), fields[4], fields[5]))
            elif line.startswith(b"PID "):
                self.pid = int(line[4:])
            else:
                self.bad.append(line)

    def kill(self):
        """SIGKILL of the client proper."""
        os.kill(self.pid, signal.SIGKILL)

    def stop(self):
        """SIGTERM; what went wrong, or None."""
        self.process.terminate()
        try:
            code = self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return f"did not stop within 20 s of SIGTERM; see {self.log}"
        self.join(10)
        if code not in (0, -signal.SIGTERM, 128 + signal.SIGTERM):
            return f"ended with {code}: {tail(self.log)}"
        return None


def tail(path):
    """The last words of a log."""
    return " | ".join(path.read_text(errors="replace").strip().splitlines()[-3:])[-400:]


class Matrix:
    """Every producer, every codec, every consumer."""

    def __init__(self, results, clients, records):
        self.results = results
        self.clients = clients
        self.input = Input(records)
        self.broker = Broker("clients", settings=["group.initial.rebalance.delay.ms=500"]).start()
        self.topics = []  # those that hold the whole input

    def log(self, name):
        """A log file for one process."""
        return self.broker.folder / f"{name}.log"

    def produce(self):
        """Every client with every codec."""
        admin = wire.Connection(self.broker.address)
        for name in self.clients:
            for codec in CODECS:
                admin.create_topic(f"{name}-{codec}", PARTITIONS)
        admin.close()
        # Two at a time: most of what a run costs is the start of a client.
        with ThreadPoolExecutor(2) as pool:
            for name, codec, problem in pool.map(
                lambda pair: (*pair, self.produce_one(*pair)), [(n, c) for n in self.clients for c in CODECS]
            ):
                if self.results.check(f"produce {name} {codec}", problem):
                    self.topics.append(f"{name}-{codec}")

    def produce_one(self, name, codec):
        """One client's process; its problems."""
        command, more = self.clients[name]
        topic = f"{name}-{codec}"
        arguments = ["produce", "--bootstrap", self.broker.address, "--topic", topic]
        arguments += ["--codec", codec, "--file", str(self.input.file)]
        log = self.log(f"produce-{topic}")
        with open(log, "wb") as output:
            try:
                code = subprocess.run(
                    [str(part) for part in command] + arguments,
                    stdout=output,
                    stderr=output,
                    env=os.environ | more,
                    timeout=LIMIT,
                    check=False,
                ).returncode
            except subprocess.TimeoutExpired:
                return [f"not done after {LIMIT} s: {tail(log)}"]
        return [f"ended with {code}: {tail(log)}"] if code else []

    def diagonal(self, number, step):
        """A topic of each codec, each of another producer; over all `number` every topic once."""
        names = list(self.clients)
        wanted = [f"{names[(number + at + step) % len(names)]}-{codec}" for at, codec in enumerate(CODECS)]
        return [topic for topic in wanted if topic in self.topics]

    def consume(self):
        """Every client alone, then every client in a group of three with one killed."""
        for number, name in enumerate(self.clients):
            self.group(name, self.diagonal(number, 1), 1)
            self.group(name, self.diagonal(number, 0), 3)

    def group(self, name, topics, size):
        """One group of one client."""
        what = f"consume {name} alone" if size == 1 else f"consume {name}, three members, one killed"
        if not topics:
            self.results.fail(what, "there is no topic to read: nothing could be produced")
            return
        group = f"{name}-{size}"
        arguments = ["consume", "--bootstrap", self.broker.address, "--topic", ",".join(topics), "--group", group]
        if size > 1:
            arguments += ["--rate", str(RATE)]
        members = [Member(self.clients[name], arguments, self.log(f"{group}-{at}")) for at in range(size)]
        want = self.input.count * len(topics)
        begin = time.monotonic()
        problems, victim, killed_at = [], None, 0
        while True:
            time.sleep(0.1 if self.near(members, want) else 0.02)
            places = len({record[:3] for member in members for record in member.seen[:]}) if self.near(members, want) else 0
            if size > 1 and victim is None:
                busy = [member for member in members if len(member.seen) >= 300]
                if len(busy) == size or (busy and sum(len(member.seen) for member in members) > want // 3):
                    victim = busy[-1]
                    victim.kill()
                    killed_at = sum(len(member.seen) for member in members)
            if places >= want:
                break
            ended = [m for m in members if m is not victim and m.process.poll() is not None]
            if ended:
                problems += [f"a member ended with {m.process.returncode}: {tail(m.log)}" for m in ended]
                break
            if time.monotonic() - begin > LIMIT:
                have = len({record[:3] for member in members for record in member.seen[:]})
                problems.append(f"{have} of {want} records after {LIMIT} s; {[len(m.seen) for m in members]} by member")
                break
        if size > 1 and (victim is None or killed_at >= want):
            problems.append("all was read before a member could be killed")
        if size == 1:
            time.sleep(0.3)  # a record that comes twice would come now
        for member in members:
            if member is victim:
                member.process.wait()
                member.join(10)
            elif problem := member.stop():
                problems.append(problem)
            problems += [f"printed {line[:80]!r}" for line in member.bad[:2]]
        seen = [record for member in members for record in member.seen]
        problems += self.compare(topics, seen)
        if size == 1:
            problems += self.exact(seen)
        problems += self.committed(group, topics)
        again = len(seen) - len({record[:3] for record in seen})
        share = "/".join(str(len(member.seen)) for member in members)
        self.results.check(what, problems, f"{len(seen)} records ({share}), {again} read again")

    @staticmethod
    def near(members, want):
        """Whether it is worth counting."""
        return sum(len(member.seen) for member in members) >= want

    def compare(self, topics, seen):
        """The problems of what was read against what was sent, each record counted once by its place."""
        problems = []
        found = {topic: {} for topic in topics}
        for topic, partition, offset, key, digest in seen:
            before = found[topic].setdefault((partition, offset), (key, digest))
            if before != (key, digest):
                problems.append(f"{topic}-{partition} offset {offset} read twice with other contents")
        for topic, places in found.items():
            keys, homes = defaultdict(list), defaultdict(set)
            for (partition, _), (key, digest) in sorted(places.items()):
                keys[key].append(digest)
                homes[key].add(partition)
            for key in keys.keys() | self.input.keys.keys():
                sent, read = self.input.keys.get(key, []), keys.get(key, [])
                if sent == read:
                    continue
                if Counter(sent) == Counter(read):
                    problems.append(f"{topic}: the order of key {key} (partitions {sorted(homes[key])}) is not what was sent")
                else:
                    problems.append(f"{topic}: key {key}: {len(sent)} records sent, {len(read)} read")
        return problems

    @staticmethod
    def exact(seen):
        """A member alone reads every offset once and in order."""
        problems, due = [], Counter()
        for topic, partition, offset, _, _ in seen:
            if offset != due[topic, partition]:
                problems.append(f"{topic}-{partition}: offset {offset} where {due[topic, partition]} was due")
            due[topic, partition] = offset + 1
        return problems

    def committed(self, group, topics):
        """All members left in order, so the group's offsets are the ends of the logs."""
        problems = []
        admin = wire.Connection(self.broker.address)
        offsets = admin.offset_fetch(group, {topic: PARTITIONS for topic in topics})
        for (topic, partition), offset in sorted(offsets.items()):
            end = admin.list_offset(topic, partition, -1)
            if max(offset, 0) != end:
                problems.append(f"{topic}-{partition}: committed {offset}, the log ends at {end}")
        admin.close()
        return problems


def main():
    """Runs it; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="clients, comma separated")
    parser.add_argument("--records", type=int, default=None, help="only the first so many of the input")
    options = parser.parse_args()
    results = Results("clients")
    clients = {}
    for name in options.only.split(",") if options.only else CLIENTS:
        try:
            clients[name] = CLIENTS[name]()
        except Missing as missing:
            results.skip(name, str(missing))
    if clients:
        matrix = Matrix(results, clients, options.records)
        print(f"clients: {', '.join(clients)}; input: {matrix.input.count} records of {matrix.input.name}", flush=True)
        try:
            matrix.produce()
            matrix.consume()
            matrix.broker.stop(10)
            results.ok("a clean stop")
        except (OSError, RuntimeError, wire.Refused) as error:
            results.fail("the broker", f"{type(error).__name__}: {error}")
            if matrix.broker.alive():
                matrix.broker.kill()
        results.check("no panic in the broker's log", matrix.broker.panics())
    return results.close()


if __name__ == "__main__":
    sys.exit(main())

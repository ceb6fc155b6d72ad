#!/usr/bin/env python3
"""kill -9 of the real process, again and again, while it is written to.

Idempotent producers (acks=all, five requests in flight each), committers of offsets and a reader go on
through every kill; the broker is killed at seeded random points, some of them while it starts. Then:
  * every acknowledged record is there, once, at the offset that was acknowledged;
  * every producer's records are there in order, without a gap and without a duplicate;
  * what the reader saw once stays as it saw it;
  * no committed offset goes back, checked after every restart too.

  kill.py [--kills 50] [--seed S]
"""

import argparse
import random
import sys
import threading
import time
from collections import Counter, deque
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "clients"))
from support import wire  # noqa: E402
from support.broker import Broker, Results, free_port  # noqa: E402

TOPIC = "kill"
PARTITIONS = 4
IN_FLIGHT = 5
PRODUCERS = 4
COMMITTERS = 3


class Actor(threading.Thread):
    """Someone who lives through the kills: connects, works, connects again."""

    def __init__(self, world, name, seed):
        super().__init__(name=name, daemon=True)
        self.world = world
        self.random = random.Random(seed)
        self.problems = []
        self.reconnects = 0

    def run(self):
        """Works until the world ends, whatever becomes of the connection."""
        while not self.finished() and not self.problems:
            try:
                connection = wire.Connection(self.world.address, self.name)
            except OSError:
                time.sleep(0.01)
                continue
            self.reconnects += 1
            try:
                self.work(connection)
            except wire.Refused as refused:
                if refused.code not in wire.ERRORS_TO_RETRY:
                    self.problems.append(str(refused))
                time.sleep(0.02)
            except OSError:
                time.sleep(0.005)
            except Exception as error:  # an answer that cannot be read is the broker's fault
                self.problems.append(f"{type(error).__name__}: {error}")
            finally:
                connection.close()

    def finished(self):
        """Whether it may end."""
        return self.world.over.is_set()


class Producer(Actor):
    """Idempotent: keeps each batch until it is acknowledged, resends in order after a reconnect."""

    def __init__(self, world, number, seed):
        super().__init__(world, f"producer-{number}", seed)
        self.number = number
        self.identity = None
        self.sequence = [0] * PARTITIONS
        self.pending = [deque() for _ in range(PARTITIONS)]  # (sequence, count, bytes)
        self.acked = [[] for _ in range(PARTITIONS)]  # (sequence, count, base offset or None)
        self.resent = self.old = self.there = 0
        self.ends = [None] * PARTITIONS  # where the log ended when what was pending was sent again
        self.refused = Counter()

    def finished(self):
        return self.world.over.is_set() and not any(self.pending)

    def work(self, connection):
        if self.identity is None:
            self.identity = connection.init_producer_id()
        again = deque()
        for partition, waiting in enumerate(self.pending):
            again.extend((partition, entry) for entry in waiting)
            self.ends[partition] = connection.list_offset(TOPIC, partition, -1) if waiting else None
        self.resent += len(again)
        while not self.finished():
            while len(connection.waiting) < IN_FLIGHT:
                if again:
                    partition, entry = again.popleft()
                    connection.produce(TOPIC, {partition: entry[2]}, {partition: entry[0]})
                elif self.world.over.is_set() or not self.new(connection):
                    break
            if not connection.waiting:
                return
            tag, answer = connection.produced()
            if self.settle(tag, answer):
                time.sleep(0.02)
                return
            time.sleep(self.random.random() * 0.004)

    def new(self, connection):
        """Makes and sends one request with a batch for one partition or two."""
        # One batch until a partition has acknowledged something: a leader that does not know the producer takes
        # any sequence for its first, so a refusal of the first batch must not be followed by the second.
        open_ = [p for p in range(PARTITIONS) if len(self.pending[p]) < (IN_FLIGHT if self.acked[p] else 1)]
        if not open_:
            return False
        parts, tag = {}, {}
        for partition in self.random.sample(open_, min(len(open_), self.random.choice((1, 1, 2)))):
            first, count = self.sequence[partition], self.random.choice((1, 1, 3, 10))
            pad = self.random.choice((0, 20, 200, 200, 2500)) // count
            values = [
                f"{self.number}:{partition}:{first + i}:".encode() + b"." * self.random.randint(0, pad)
                for i in range(count)
            ]
            data = wire.batch(values, *self.identity, first)
            self.pending[partition].append((first, count, data))
            self.sequence[partition] += count
            parts[partition], tag[partition] = data, first
        connection.produce(TOPIC, parts, tag)
        return True

    def settle(self, tag, answer):
        """Books an answer; true if what is pending has to be sent again."""
        if set(tag) != set(answer):
            self.problems.append(f"asked for partitions {sorted(tag)}, answered {sorted(answer)}")
            return True
        retry = False
        for partition, first in tag.items():
            code, base = answer[partition]
            if code in wire.ERRORS_TO_RETRY:
                self.refused[wire.ERRORS_TO_RETRY[code]] += 1
                retry = True
                continue
            if code not in (0, wire.DUPLICATE_SEQUENCE_NUMBER):
                waiting = [entry[0] for entry in self.pending[partition]]
                self.problems.append(
                    f"partition {partition}, sequence {first}: error {code}; pending from {waiting},"
                    f" acknowledged up to {self.acked[partition][-1:]}"
                )
                return True
            if not self.pending[partition] or self.pending[partition][0][0] != first:
                if retry:
                    continue
                self.problems.append(f"partition {partition}: sequence {first} acknowledged out of turn")
                return True
            _, count, _ = self.pending[partition].popleft()
            if code:
                self.old += 1
            elif self.ends[partition] is not None and base < self.ends[partition]:
                self.there += 1
            self.acked[partition].append((first, count, None if code else base))
        return retry


class Committer(Actor):
    """Commits ever higher offsets, and looks at what is committed."""

    def __init__(self, world, number, seed):
        super().__init__(world, f"committer-{number}", seed)
        self.group = f"kill-group-{number}"
        self.tried = [-1] * PARTITIONS
        self.acked = [-1] * PARTITIONS
        self.commits = self.looks = 0

    def work(self, connection):
        code, _ = connection.find_coordinator(self.group)
        if code:
            raise wire.Refused(f"FindCoordinator {self.group}", code)
        self.look(connection)
        while not self.finished():
            for partition in range(PARTITIONS):
                self.tried[partition] += self.random.randint(0, 3)
            wanted = {p: max(self.tried[p], 0) for p in range(PARTITIONS)}
            self.tried = [wanted[p] for p in range(PARTITIONS)]
            for partition, code in connection.offset_commit(self.group, TOPIC, wanted).items():
                if code == 0:
                    self.acked[partition] = wanted[partition]
                    self.commits += 1
                elif code not in wire.ERRORS_TO_RETRY:
                    raise wire.Refused(f"OffsetCommit of {TOPIC}-{partition}", code)
            if self.random.random() < 0.05:
                self.look(connection)
            time.sleep(self.random.random() * 0.004)

    def look(self, connection):
        """acknowledged <= committed <= tried."""
        self.looks += 1
        for (_, partition), offset in connection.offset_fetch(self.group, {TOPIC: PARTITIONS}).items():
            if not self.acked[partition] <= offset <= self.tried[partition]:
                self.problems.append(
                    f"{self.group}, partition {partition}: committed {offset}, acknowledged"
                    f" {self.acked[partition]}, tried {self.tried[partition]}"
                )


class Reader(Actor):
    """Reads on and on, and remembers."""

    def __init__(self, world, seed):
        super().__init__(world, "reader", seed)
        self.seen = [[] for _ in range(PARTITIONS)]
        self.marks = [0] * PARTITIONS

    def work(self, connection):
        while not self.finished():
            read(connection, self.seen, self.problems, self.marks)
            time.sleep(0.005)


def read(connection, logs, problems, marks=None):
    """One Fetch of all partitions from the end of what `logs` has; how many records came."""
    came = 0
    for partition, (code, high, data) in connection.fetch(
        TOPIC, {p: len(log) for p, log in enumerate(logs)}
    ).items():
        log = logs[partition]
        if code in wire.ERRORS_TO_RETRY:
            continue
        if code:
            problems.append(f"Fetch of {TOPIC}-{partition} at {len(log)}: error {code}, high watermark {high}")
            continue
        if marks is not None:
            if high < len(log):
                problems.append(f"partition {partition}: high watermark {high} after {len(log)} were read")
            marks[partition] = high
        for base, producer_id, sequence, values in wire.batches(data):
            for number, value in enumerate(values):
                if base + number < len(log):
                    continue  # the batch began before the offset asked for
                if base + number > len(log):
                    problems.append(f"partition {partition}: offset {base + number} follows {len(log) - 1}")
                    return came
                log.append((producer_id, sequence + number, value))
                came += 1
    return came


def wait_for(action, limit=10):
    """Does it, again while the coordinator is loading."""
    end = time.monotonic() + limit
    while True:
        try:
            return action()
        except wire.Refused as refused:
            if refused.code not in wire.ERRORS_TO_RETRY or time.monotonic() > end:
                raise
        time.sleep(0.05)


class World:
    """What the actors share."""

    def __init__(self, address):
        self.address = address
        self.over = threading.Event()


def verify(producers, reader, logs):
    """The problems of the whole log against everybody's books."""
    problems = []
    for partition, log in enumerate(logs):
        place = {}
        for offset, (producer_id, sequence, value) in enumerate(log):
            if (producer_id, sequence) in place:
                problems.append(
                    f"partition {partition}: producer {producer_id} sequence {sequence} is at"
                    f" {place[producer_id, sequence]} and at {offset}"
                )
            place[producer_id, sequence] = offset
        for producer in producers:
            own = [(offset, entry) for offset, entry in enumerate(log) if entry[0] == producer.identity[0]]
            for expected, (offset, (_, sequence, value)) in enumerate(own):
                if sequence != expected or not value.startswith(f"{producer.number}:{partition}:{sequence}:".encode()):
                    problems.append(
                        f"partition {partition}, offset {offset}: {producer.name}'s sequence {expected} was due,"
                        f" found {sequence} ({value[:30]!r})"
                    )
                    break
            if len(own) != producer.sequence[partition]:
                problems.append(f"partition {partition}: {producer.name} sent {producer.sequence[partition]}, found {len(own)}")
            for first, count, base in producer.acked[partition]:
                for number in range(count):
                    found = place.get((producer.identity[0], first + number))
                    if found is None:
                        problems.append(f"partition {partition}: {producer.name}'s acknowledged sequence {first + number} is lost")
                    elif base is not None and found != base + number:
                        problems.append(
                            f"partition {partition}: {producer.name}'s sequence {first + number} was acknowledged"
                            f" at {base + number} and is at {found}"
                        )
        seen = reader.seen[partition]
        if log[: len(seen)] != seen:
            at = next((i for i, (a, b) in enumerate(zip(log, seen)) if a != b), len(log))
            problems.append(f"partition {partition}: what was read at offset {at} changed or vanished")
    return problems


def main():
    """Runs it; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=None, help="default: another one each time, printed")
    arguments = parser.parse_args()
    seed = random.SystemRandom().randrange(1 << 32) if arguments.seed is None else arguments.seed
    print(f"kill: {arguments.kills} kills, --seed {seed}", flush=True)
    results = Results("kill")
    chance = random.Random(seed)
    broker = Broker("kill", port=free_port())
    broker.start()
    setup = wire.Connection(broker.address)
    setup.create_topic(TOPIC, PARTITIONS, [("segment.bytes", "1048576")])
    setup.close()
    world = World(broker.address)
    producers = [Producer(world, number, chance.random()) for number in range(PRODUCERS)]
    committers = [Committer(world, number, chance.random()) for number in range(COMMITTERS)]
    reader = Reader(world, chance.random())
    actors = [*producers, *committers, reader]
    for actor in actors:
        actor.start()

    def problems():
        return [f"{actor.name}: {problem}" for actor in actors for problem in actor.problems]

    starts, early, trouble = [], 0, []
    for kill in range(arguments.kills):
        time.sleep(chance.uniform(0.02, 0.8))
        broker.kill()
        while chance.random() < 0.25:  # and now and then on its way up
            broker.spawn()
            time.sleep(chance.uniform(0, 0.08))
            broker.kill()
            early += 1
        begin = time.monotonic()
        try:
            broker.start()
        except RuntimeError as error:
            trouble.append(f"after kill {kill + 1}: {error}")
            break
        starts.append(time.monotonic() - begin)
        if problems():
            trouble.append(f"seen after kill {kill + 1}")
            break
    results.check(
        f"{arguments.kills} kills survived",
        trouble,
        f"{early} more while starting; slowest start {max(starts, default=0):.2f} s",
    )
    world.over.set()
    for actor in actors:
        actor.join(30)
        if actor.is_alive():
            actor.problems.append("still waiting for answers 30 s after the last kill")
    results.check("nobody was told anything wrong", problems())
    if broker.alive():
        logs = [[] for _ in range(PARTITIONS)]
        problem = []
        try:
            connection = wire.Connection(broker.address)
            ends = [connection.list_offset(TOPIC, p, -1) for p in range(PARTITIONS)]
            while any(len(log) < end for log, end in zip(logs, ends)) and not problem:
                if not read(connection, logs, problem):
                    problem.append(f"read {[len(log) for log in logs]} of {ends}, then nothing more")
            problem += verify(producers, reader, logs)
        except (OSError, ValueError, wire.Refused) as error:
            problem.append(f"{type(error).__name__}: {error}")
        acked = sum(count for p in producers for part in p.acked for _, count, _ in part)
        missed = [] if acked else ["nothing was acknowledged at all"]
        if arguments.kills >= 50 and not any(p.there + p.old for p in producers):
            missed.append("no kill fell between a write and its answer: this run has shown nothing about duplicates")
        results.check(
            "nothing acknowledged is lost, nothing is there twice",
            problem or missed,
            f"{acked} records acknowledged, {sum(map(len, logs))} in the log, {sum(map(len, reader.seen))} read on the way,"
            f" {sum(p.resent for p in producers)} batches sent again, of them {sum(p.there + p.old for p in producers)} that were there already,"
            f" refused for a while: {dict(sum((p.refused for p in producers), Counter()))}",
        )
        problem = []
        for committer in committers:
            try:
                committer.problems.clear()
                wait_for(lambda: committer.look(connection))
                problem += committer.problems
            except (OSError, ValueError, wire.Refused) as error:
                problem.append(f"{committer.group}: {error}")
        commits = sum(c.commits for c in committers)
        results.check(
            "no committed offset went back",
            problem or ([] if commits else ["nothing was committed at all"]),
            f"{commits} commits, looked at {sum(c.looks for c in committers)} times",
        )
        connection.close()
        try:
            broker.stop(10)
            stopped = []
        except RuntimeError as error:
            stopped = [error]
        results.check("a clean stop at the end", stopped)
    results.check("no panic in the broker's log", broker.panics())
    return results.close()


if __name__ == "__main__":
    sys.exit(main())

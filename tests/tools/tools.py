#!/usr/bin/env python3
"""Kafka's own tools, from its published jars, against the broker: what they print must be what they print of Kafka.

  tools.py
"""

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "clients"))
from support.broker import ROOT, Broker, Results  # noqa: E402

LIBS = Path(os.environ.get("KAFKA_LIBS") or ROOT / "target" / "peers" / "kafka")
PEERS = ROOT / "tests" / "peers"
TOOLS = "org.apache.kafka.tools."
NOISE = re.compile(r"SLF4J|^WARNING|StatusLogger|log4j", re.I)


class Wrong(Exception):
    """What a tool printed is not what was expected."""


def command(name, *arguments):
    """The command line of a tool."""
    logging = f"-Dlog4j2.configurationFile={PEERS / 'log4j2.xml'}"
    flags = ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", logging]
    name = name if name.startswith("kafka.") else TOOLS + name
    return ["java", *flags, "-cp", f"{LIBS}/*", name, *map(str, arguments)]


def tool(name, *arguments, stdin="", code=0, limit=90):
    """Runs a tool; what it printed, both streams."""
    done = subprocess.run(
        command(name, *arguments), input=stdin, capture_output=True, text=True, timeout=limit, check=False
    )
    out = "\n".join(line for line in (done.stdout + done.stderr).splitlines() if not NOISE.search(line))
    if code is not None and done.returncode != code:
        raise Wrong(f"{name} ended with {done.returncode}, not {code}: {out[-600:]}")
    return out


def want(out, *patterns):
    """Every pattern is found in what was printed."""
    for pattern in patterns:
        if not re.search(pattern, out, re.M):
            raise Wrong(f"/{pattern}/ is not in: {out[:900]}")
    return out


def lack(out, *patterns):
    """None of the patterns is found in what was printed."""
    for pattern in patterns:
        if found := re.search(pattern, out, re.M):
            raise Wrong(f"{found.group(0)!r} is in: {out[:900]}")
    return out


class Session:
    """The tools, in groups that do not meet each other and so may run beside each other."""

    def __init__(self, broker):
        self.broker = broker
        self.at = ("--bootstrap-server", broker.address)

    # Topics and configurations.

    def topic_command(self):
        """Create, describe, alter, list and delete, and the refusals."""
        topics = ("TopicCommand", *self.at)
        want(
            tool(*topics, "--create", "--topic", "events", "--partitions", 3, "--config", "retention.ms=3600000"),
            r"^Created topic events\.$",
        )
        want(tool(*topics, "--create", "--topic", "events", code=1), r"Topic 'events' already exists")
        want(tool(*topics, "--create", "--topic", "bad/name", code=1), r"illegal|invalid")
        want(
            tool(*topics, "--create", "--topic", "wide", "--replication-factor", 3, code=1),
            r"replication factor|Replication factor",
        )
        out = tool(*topics, "--describe", "--topic", "events")
        want(
            out,
            r"^Topic: events\s+TopicId: [\w-]{22}\s+PartitionCount: 3\s+ReplicationFactor: 1\s+Configs: .*retention\.ms=3600000",
            *(rf"Topic: events\s+Partition: {p}\s+Leader: 1\s+Replicas: 1\s+Isr: 1" for p in range(3)),
        )
        tool(*topics, "--alter", "--topic", "events", "--partitions", 5)
        want(tool(*topics, "--describe", "--topic", "events"), r"PartitionCount: 5", r"Partition: 4\s+Leader: 1")
        want(tool(*topics, "--alter", "--topic", "events", "--partitions", 2, code=1), r"(?i)partitions")
        tool(*topics, "--create", "--topic", "gone")
        want(tool(*topics, "--list"), r"^events$", r"^gone$")
        tool(*topics, "--delete", "--topic", "gone")
        lack(want(tool(*topics, "--list"), r"^events$"), r"^gone$")
        want(tool(*topics, "--describe", "--topic", "gone", code=1), r"does not exist")
        lack(tool(*topics, "--describe", "--under-replicated-partitions"), r"Topic:")

    def config_command(self):
        """Topic and broker configurations, set, shown, deleted, refused."""
        tool("TopicCommand", *self.at, "--create", "--topic", "configured", "--partitions", 1)
        configs = ("kafka.admin.ConfigCommand", *self.at)
        entity = ("--entity-type", "topics", "--entity-name", "configured")
        want(
            tool(*configs, *entity, "--alter", "--add-config", "retention.ms=7200000,max.message.bytes=65536"),
            r"Completed updating config for topic configured",
        )
        want(tool(*configs, *entity, "--describe"), r"retention\.ms=7200000", r"max\.message\.bytes=65536")
        want(
            tool(*configs, *entity, "--describe", "--all"),
            r"cleanup\.policy=delete .*DEFAULT_CONFIG",
            r"segment\.bytes=1073741824",
            r"retention\.ms=7200000 .*DYNAMIC_TOPIC_CONFIG",
        )
        tool(*configs, *entity, "--alter", "--delete-config", "retention.ms")
        lack(want(tool(*configs, *entity, "--describe"), r"max\.message\.bytes=65536"), r"retention\.ms")
        want(tool(*configs, *entity, "--alter", "--add-config", "no.such.config=1", code=1), r"(?i)unknown.*config")
        want(tool(*configs, *entity, "--alter", "--add-config", "retention.ms=abc", code=1), r"(?i)invalid value")
        want(
            tool(*configs, "--entity-type", "brokers", "--entity-name", 1, "--describe", "--all"),
            r"All configs for broker 1 are",
            r"num\.partitions=1",
            r"auto\.create\.topics\.enable=true",
        )

    def versions(self):
        """BrokerApiVersionsCommand: every API that is offered is one that the client can use."""
        out = tool("BrokerApiVersionsCommand", *self.at)
        want(
            out,
            rf"^\S+:{self.broker.address.rsplit(chr(58), 1)[1]} \(id: 1 rack: null.*\) -> \(",
            r"Produce\(0\): \d+ to 13 \[usable: 13\]",
            r"Fetch\(1\): 4 to 1\d \[usable: 1\d\]",
            r"ApiVersions\(18\): 0 to \d \[usable: \d\]",
            r"CreateTopics\(19\): 2 to 7 \[usable: 7\]",
        )
        lack(out, r"UNKNOWN\(")
        if len(re.findall(r"\[usable: \d+\]", out)) < 30:
            raise Wrong(f"fewer than 30 usable APIs: {out}")

    # Records and offsets.

    def console(self):
        """ConsoleProducer writes, ConsoleConsumer reads; GetOffsetShell, DeleteRecordsCommand, LogDirsCommand look."""
        tool("TopicCommand", *self.at, "--create", "--topic", "lines", "--partitions", 2)
        keyed = ("--reader-property", "parse.key=true", "--reader-property", "key.separator=:")
        lines = "".join(f"key{n % 7}:line {n}\n" for n in range(500))
        tool(
            "ConsoleProducer", *self.at, "--topic", "lines", *keyed,
            "--compression-codec", "zstd", "--command-property", "acks=all", stdin=lines,
        )  # fmt: skip
        shown = ("--formatter-property", "print.key=true", "--formatter-property", "print.partition=true")
        out = tool(
            "consumer.ConsoleConsumer", *self.at, "--topic", "lines", "--from-beginning", "--max-messages", 500,
            "--timeout-ms", 20000, "--group", "console", *shown,
        )  # fmt: skip
        want(out, r"Processed a total of 500 messages")
        read = re.findall(r"^Partition:(\d+)\tkey(\d)\tline (\d+)$", out, re.M)
        if sorted(int(line) for _, _, line in read) != list(range(500)):
            raise Wrong(f"{len(read)} of 500 lines came back: {out[:300]}")
        for key in "0123456":
            mine = [(partition, int(line)) for partition, found, line in read if found == key]
            if len({partition for partition, _ in mine}) != 1 or mine != sorted(mine):
                raise Wrong(f"key{key} is out of order or in two partitions: {mine[:20]}")
        ends = self.offsets("lines", -1)
        if sum(ends.values()) != 500 or self.offsets("lines", -2) != {0: 0, 1: 0}:
            raise Wrong(f"ends {ends}")
        if self.offsets("lines", "max-timestamp").keys() != {0, 1}:
            raise Wrong("max-timestamp does not tell of both partitions")
        plan = self.broker.folder / "delete.json"
        plan.write_text(json.dumps({"partitions": [{"topic": "lines", "partition": 0, "offset": 5}], "version": 1}))
        want(tool("DeleteRecordsCommand", *self.at, "--offset-json-file", plan), r"partition: lines-0\s+low_watermark: 5")
        if self.offsets("lines", "earliest") != {0: 5, 1: 0}:
            raise Wrong("the log start did not move to 5")
        plan.write_text(json.dumps({"partitions": [{"topic": "lines", "partition": 1, "offset": 99999}], "version": 1}))
        want(tool("DeleteRecordsCommand", *self.at, "--offset-json-file", plan, code=None), r"(?i)out of range|OffsetOutOfRange")
        out = want(tool("LogDirsCommand", *self.at, "--describe", "--topic-list", "lines"), r"Received log directory information from brokers 1")
        told = json.loads(out[out.index("{") :].splitlines()[0])
        (folder,) = told["brokers"][0]["logDirs"]
        sizes = {part["partition"]: part["size"] for part in folder["partitions"]}
        if sizes.keys() != {"lines-0", "lines-1"} or not all(sizes.values()) or folder["error"]:
            raise Wrong(f"log directories: {told}")

    def offsets(self, topic, time_):
        """GetOffsetShell."""
        out = tool("GetOffsetShell", *self.at, "--topic", topic, "--time", time_)
        return {int(p): int(offset) for p, offset in re.findall(rf"^{topic}:(\d+):(\d*)$", out, re.M) if offset}

    def groups(self):
        """ConsumerGroupCommand on a group that is live, then empty: list, describe, reset, delete."""
        tool("TopicCommand", *self.at, "--create", "--topic", "grouped", "--partitions", 3)
        tool("ConsoleProducer", *self.at, "--topic", "grouped", stdin="".join(f"{n}\n" for n in range(90)))
        groups = ("consumer.group.ConsumerGroupCommand", *self.at)
        with subprocess.Popen(
            command("consumer.ConsoleConsumer", *self.at, "--topic", "grouped", "--from-beginning", "--group", "squad",
                    "--command-property", "auto.commit.interval.ms=200"),
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        ) as consumer:  # fmt: skip
            try:
                # What never comes ends the wait, and not the patience of whoever runs this.
                patience = threading.Timer(60, consumer.kill)
                patience.start()
                came = sum(1 for _ in itertools.takewhile(bool, (consumer.stdout.readline() for _ in range(90))))
                patience.cancel()
                if came != 90:
                    raise Wrong(f"{came} of 90 records within a minute")
                time.sleep(0.6)
                out = want(
                    tool(*groups, "--describe", "--group", "squad"),
                    r"GROUP\s+TOPIC\s+PARTITION\s+(LEADER-EPOCH\s+)?CURRENT-OFFSET\s+LOG-END-OFFSET\s+LAG",
                )
                rows = re.findall(r"^squad\s+grouped\s+(\d)\s+(?:\d+\s+|-\s+)?(\d+|-)\s+(\d+)\s+(\d+|-)\s+console-consumer", out, re.M)
                if len(rows) != 3 or any(lag not in ("0", "-") for *_, lag in rows) or sum(int(end) for _, _, end, _ in rows) != 90:
                    raise Wrong(f"the live group: {out}")
                want(
                    tool(*groups, "--describe", "--group", "squad", "--members", "--verbose"),
                    r"squad\s+console-consumer\S*\s+\S+\s+console-consumer\s+3\s+.*grouped[:(]\s?0,1,2",
                )
                want(tool(*groups, "--describe", "--group", "squad", "--state"), r"squad\s+\S+\s+\(1\)\s+range\s+Stable\s+.*1")
                want(tool(*groups, "--list", "--state"), r"^squad\s+.*Stable")
                reset = ("--reset-offsets", "--group", "squad", "--topic", "grouped", "--to-earliest", "--execute")
                want(tool(*groups, *reset, code=None), r"(?i)only be reset if the group 'squad' is inactive")
                want(tool(*groups, "--delete", "--group", "squad", code=None), r"(?i)not empty|NonEmpty")
            finally:
                consumer.terminate()
        want(tool(*groups, "--describe", "--group", "squad"), r"Consumer group 'squad' has no active members", r"grouped")
        out = tool(*groups, *reset)
        if sorted(re.findall(r"^squad\s+grouped\s+(\d)\s+(\d+)\s*$", out, re.M)) != [(str(p), "0") for p in range(3)]:
            raise Wrong(f"reset to earliest: {out}")
        out = tool(*groups, "--describe", "--group", "squad")
        lags = re.findall(r"^squad\s+grouped\s+\d\s+(?:\d+\s+|-\s+)?0\s+(\d+)\s+(\d+)", out, re.M)
        if len(lags) != 3 or any(end != lag for end, lag in lags):
            raise Wrong(f"after the reset: {out}")
        want(
            tool(*groups, "--delete-offsets", "--group", "squad", "--topic", "grouped"),
            r"Request succeed(ed)? for deleting offsets",
        )
        want(tool(*groups, "--delete", "--group", "squad"), r"Deletion of requested consumer groups \('squad'\) was successful")
        lack(tool(*groups, "--list"), r"^squad$")
        want(tool(*groups, "--describe", "--group", "squad", code=None), r"(?i)does not exist|not found")

    def performance(self):
        """ProducerPerformance and ConsumerPerformance."""
        tool("TopicCommand", *self.at, "--create", "--topic", "fast", "--partitions", 4, "--config", "segment.bytes=4194304")
        out = tool(
            "ProducerPerformance", "--topic", "fast", "--num-records", 30000, "--record-size", 1024, "--throughput", -1,
            "--bootstrap-server", self.broker.address, "--command-property", "acks=all", "compression.type=lz4",
        )  # fmt: skip
        want(out, r"30000 records sent, .* records/sec")
        if sum(self.offsets("fast", -1).values()) != 30000:
            raise Wrong("not 30000 records in the logs")
        out = tool("ConsumerPerformance", *self.at, "--topic", "fast", "--num-records", 30000, "--timeout", 20000)
        if not any(row.split(", ")[4] == "30000" for row in out.splitlines() if row.count(", ") > 5 and row[0] == "2"):
            raise Wrong(f"not 30000 records read: {out}")

    def verifiable(self):
        """VerifiableProducer and VerifiableConsumer: each acknowledged value is read once."""
        tool("TopicCommand", *self.at, "--create", "--topic", "verified", "--partitions", 3)
        with subprocess.Popen(
            command("VerifiableConsumer", *self.at, "--topic", "verified", "--group-id", "verifier", "--max-messages",
                    5000, "--verbose", "--reset-policy", "earliest"),
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        ) as consumer:  # fmt: skip
            try:
                out = tool("VerifiableProducer", *self.at, "--topic", "verified", "--max-messages", 5000, "--throughput", -1, "--acks", -1)
                sent = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
                acked = {int(e["value"]): (e["partition"], e["offset"]) for e in sent if e["name"] == "producer_send_success"}
                if len(acked) != 5000 or any(e["name"] == "producer_send_error" for e in sent):
                    raise Wrong(f"{len(acked)} of 5000 acknowledged")
                events = [json.loads(line) for line in self.until(consumer, 60)]
            finally:
                consumer.terminate()
        read = {}
        for event in events:
            if event["name"] == "record_data":
                if int(event["value"]) in read:
                    raise Wrong(f"value {event['value']} came twice")
                read[int(event["value"])] = (event["partition"], event["offset"])
        if read != acked:
            raise Wrong(f"{len(read)} read, {len(acked)} acknowledged, or not at the offsets that were acknowledged")
        committed = [e for e in events if e["name"] == "offsets_committed"]
        if not committed or not all(e["success"] for e in committed):
            raise Wrong(f"commits: {committed[:3]}")

    @staticmethod
    def until(process, limit):
        """The lines of a process that ends by itself; it has so many seconds."""
        try:
            return process.communicate(timeout=limit)[0].splitlines()
        except subprocess.TimeoutExpired:
            raise Wrong(f"not done after {limit} s") from None


def dump(results, broker):
    """DumpLogSegments over the data of a stopped broker finds nothing wrong."""
    folders = sorted(path for path in broker.data.iterdir() if list(path.glob("*.log")))
    logs = [path for folder in folders for path in sorted(folder.glob("*.log")) if path.stat().st_size]
    # The batches of the logs, each read to the last record, and the indexes against them.
    for name, folder in (("log", logs), ("index", None), ("timeindex", None), ("snapshot", None)):
        files = folder or [p for f in folders for p in sorted(f.glob(f"*.{name}"))]
        if name in ("index", "timeindex"):
            files = [p for p in files if p.with_suffix(".log") in logs]
        if not files:
            results.fail(f"DumpLogSegments .{name}", "there is no such file")
            continue
        wrong, batches = [], 0
        for at in range(0, len(files), 200):
            some = ",".join(map(str, files[at : at + 200]))
            deep = ("--deep-iteration",) if name == "log" else ()
            try:
                out = tool("DumpLogSegments", *deep, "--files", some, limit=240)
            except (Wrong, subprocess.TimeoutExpired) as error:
                wrong.append(str(error)[-900:])
                continue
            batches += out.count("baseOffset:")
            # 4.3.1 says so of every segment but a log's first, its own included: it counts from -1 in each file.
            out = re.sub(r"^Non-consecutive offsets in .*/0*(\d+)\.log\n  -1 is followed by \1$", "", out, flags=re.M)
            wrong += re.findall(
                r"^.*(?:isvalid: false|Found timestamp mismatch|Found out of order|Non-consecutive|Mismatches|"
                r"not found|found \d+ bytes|Exception|corrupt|Could not).*$", out, re.M | re.I,
            )  # fmt: skip
        if name == "log" and not batches:
            wrong.append("no batch was shown")
        results.check(f"DumpLogSegments .{name}", wrong, f"{len(files)} files" + (f", {batches} batches" if batches else ""))


def decode(results, broker):
    """Kafka's decoders read the internal records: groups and offsets, topics and registrations."""
    offsets = [str(p) for p in sorted(broker.data.glob("__consumer_offsets-*/*.log")) if p.stat().st_size]
    metadata = [str(p) for p in sorted(broker.data.glob("__cluster_metadata-0/*.log"))]
    for name, flag, files, patterns in (
        (
            "__consumer_offsets",
            "--offsets-decoder",
            offsets,
            (
                r'key: \{"type":"2","data":\{"group":"verifier"\}\} payload: \{"version":"\d","data":\{"protocolType":"consumer"',
                r'"group":"verifier","topic":"verified","partition":\d\}\} payload: \{"version":"\d","data":\{"offset":\d',
                r'"group":"squad","topic":"grouped","partition":0\}\} payload: <DELETE>',
                r'"type":"2","data":\{"group":"squad"\}\} payload: <DELETE>',
            ),
        ),
        (
            "__cluster_metadata",
            "--cluster-metadata-decoder",
            metadata,
            (
                r'LeaderChange: .*"leaderId":1',
                r'"type":"FEATURE_LEVEL_RECORD".*"metadata\.version"',
                r'"type":"REGISTER_BROKER_RECORD"',
                r'"type":"TOPIC_RECORD".*"name":"events"',
                r'"type":"PARTITION_RECORD"',
                r'"type":"CONFIG_RECORD".*"resourceName":"configured"',
                r'"type":"REMOVE_TOPIC_RECORD"',
            ),
        ),
    ):
        try:
            out = tool("DumpLogSegments", flag, "--files", ",".join(files), limit=240)
            lack(want(out, *patterns), r"(?i)exception|isvalid: false|<CORRUPT>|could not|Error at")
            results.ok(f"DumpLogSegments {flag}", f"{out.count('payload:')} records of {name}")
        except (Wrong, subprocess.TimeoutExpired) as error:
            results.fail(f"DumpLogSegments {flag}", str(error)[:1200])


def main():
    """Runs it; the exit code."""
    results = Results("tools")
    if not shutil.which("java"):
        results.skip("all of Kafka's tools", "java is not installed")
        return results.close()
    if not (LIBS / ".complete").exists():
        if subprocess.run(["bash", PEERS / "kafka.sh", "libs"], check=False).returncode:
            results.skip("all of Kafka's tools", "their jars could not be fetched with Maven")
            return results.close()
    broker = Broker("tools", settings=["group.initial.rebalance.delay.ms=100"]).start()
    session = Session(broker)
    steps = [
        ("TopicCommand", session.topic_command),
        ("ConsumerGroupCommand", session.groups),
        ("ConsoleProducer, ConsoleConsumer, GetOffsetShell, DeleteRecordsCommand, LogDirsCommand", session.console),
        ("ConfigCommand", session.config_command),
        ("BrokerApiVersionsCommand", session.versions),
        ("VerifiableProducer, VerifiableConsumer", session.verifiable),
        ("ProducerPerformance, ConsumerPerformance", session.performance),
    ]

    def one(step):
        try:
            step[1]()
            return []
        except (Wrong, OSError, ValueError, KeyError, IndexError, subprocess.TimeoutExpired) as error:
            return [f"{type(error).__name__}: {error}"]

    with ThreadPoolExecutor(2) as pool:
        for step, problems in zip(steps, pool.map(one, steps)):
            results.check(step[0], problems)
    try:
        broker.stop(10)
        results.ok("a clean stop")
    except RuntimeError as error:
        results.fail("a clean stop", str(error))
    dump(results, broker)
    decode(results, broker)
    results.check("no panic in the broker's log", broker.panics())
    return results.close()


if __name__ == "__main__":
    sys.exit(main())

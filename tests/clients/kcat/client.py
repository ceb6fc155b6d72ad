#!/usr/bin/env python3
"""kcat as a foreign client, behind the command line of the others; see ../README.md."""

import argparse
import hashlib
import signal
import subprocess
import sys


def produce(options):
    """Sends FILE's `key TAB value` lines."""
    command = ["kcat", "-P", "-b", options.bootstrap, "-t", options.topic, "-K", "\t", "-z", options.codec]
    command += ["-X", "acks=all", "-X", "linger.ms=20", "-E", "-l", options.file]
    sys.exit(subprocess.run(command, check=False).returncode)


def consume(options):
    """Reads as one member of GROUP until SIGTERM. It is kcat that gets killed (`PID`): what it wrote still counts."""
    command = ["kcat", "-b", options.bootstrap, "-u", "-q", "-X", "auto.offset.reset=earliest", "-X", "check.crcs=true"]
    command += ["-X", "session.timeout.ms=6000", "-X", "heartbeat.interval.ms=500", "-X", "auto.commit.interval.ms=500"]
    command += ["-f", "%t\t%p\t%o\t%k\t%S\t%s\n", "-G", options.group, *options.topic.split(",")]
    kcat = subprocess.Popen(command, stdout=subprocess.PIPE)
    signal.signal(signal.SIGTERM, lambda *_: kcat.terminate())
    print("PID", kcat.pid, flush=True)
    while line := kcat.stdout.readline():
        fields = line[:-1].split(b"\t", 5)
        if not line.endswith(b"\n") or len(fields) != 6 or len(fields[5]) != int(fields[4]):
            break  # it was killed while it wrote this line
        topic, partition, offset, key = (field.decode() for field in fields[:4])
        sys.stdout.write(f"REC\t{topic}\t{partition}\t{offset}\t{key}\t{hashlib.sha1(fields[5]).hexdigest()}\n")
        sys.stdout.flush()
    sys.exit(kcat.wait())


def main():
    """Reads the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("verb", choices=("produce", "consume"))
    for name in ("bootstrap", "topic", "codec", "file", "group"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--rate", type=int, default=0, help="kcat reads as fast as it can")
    options = parser.parse_args()
    produce(options) if options.verb == "produce" else consume(options)


main()

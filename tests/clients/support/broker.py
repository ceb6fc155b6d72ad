"""The real program as a child process."""

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
WORK = ROOT / "tests" / ".work"


def binary():
    """The built program: OTTLA_BIN, or the release build in CARGO_TARGET_DIR or ./target."""
    named = os.environ.get("OTTLA_BIN")
    target = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
    path = Path(named) if named else target / "release" / "ottla"
    if not path.exists():
        raise SystemExit(f"{path} is missing: build it with cargo build --release --bin ottla")
    return path.resolve()


def free_port():
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Broker:
    """One node; start, kill and stop it as often as wanted over the same data."""

    def __init__(self, name, port=0, settings=()):
        self.folder = WORK / "run" / name
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.data = self.folder / "data"
        self.log = self.folder / "broker.log"
        self.port = port
        self.settings = list(settings)
        self.process = None
        self.address = None

    def spawn(self):
        """Starts the process without waiting for it."""
        command = [str(binary()), "serve", "-X", f"listeners=PLAINTEXT://localhost:{self.port}"]
        command += ["-X", f"log.dirs={self.data}", "--output", "json"]
        for setting in self.settings:
            command += ["-X", setting]
        # OTTLA_* and KAFKA_* are settings of the broker: none of them is meant here.
        plain = {k: v for k, v in os.environ.items() if not k.startswith(("OTTLA_", "KAFKA_"))}
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                command, env=plain, stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL, text=True
            )

    def ready(self, limit=60):
        """Waits for the ready line, which tells the address."""
        watch = threading.Timer(limit, self.process.kill)
        watch.start()
        try:
            for line in self.process.stdout:
                event = json.loads(line)
                if event.get("event") == "ready":
                    self.address = event["listeners"][0]
                    return self
        finally:
            watch.cancel()
        code = self.process.wait()
        raise RuntimeError(f"the broker ended with {code} before it was ready; see {self.log}\n{self.tail()}")

    def start(self):
        """Starts the process and waits for the ready line."""
        self.spawn()
        return self.ready()

    def kill(self):
        """SIGKILL."""
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def stop(self, limit=60):
        """SIGTERM; a clean stop ends with 0."""
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(limit)
        except subprocess.TimeoutExpired:
            self.kill()
            raise RuntimeError(f"the broker did not stop within {limit} s of SIGTERM; see {self.log}") from None
        self.process.stdout.close()
        if code != 0:
            raise RuntimeError(f"the broker ended with {code} on SIGTERM; see {self.log}\n{self.tail()}")

    def alive(self):
        """Whether the process runs."""
        return self.process is not None and self.process.poll() is None

    def panics(self):
        """Lines of its log that tell of a panic or a failed assertion."""
        lines = self.log.read_text(errors="replace").splitlines()
        return [line for line in lines if "panicked at" in line or "assertion" in line]

    def tail(self, count=15):
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])


class Results:
    """Counts, and the closing line `N passed, N failed, N skipped`."""

    def __init__(self, part):
        self.part = part
        self.passed = 0
        self.failures = []
        self.skips = []
        self.begin = time.monotonic()

    def ok(self, name, detail=""):
        """One check that held."""
        self.passed += 1
        self.say("ok", name, detail)

    def fail(self, name, detail):
        """One check that did not hold."""
        self.failures.append(name)
        self.say("FAILED", name, detail)

    def skip(self, name, reason):
        """What this machine cannot run, by name."""
        self.skips.append(name)
        self.say("SKIPPED", name, reason)

    def check(self, name, problems, detail=""):
        """Ok without problems, else a failure with the first of them."""
        if problems:
            more = f" (and {len(problems) - 5} more)" if len(problems) > 5 else ""
            self.fail(name, "; ".join(str(problem) for problem in problems[:5]) + more)
        else:
            self.ok(name, detail)
        return not problems

    def say(self, word, name, detail):
        """One line, with the seconds since the start."""
        seconds = time.monotonic() - self.begin
        print(f"{seconds:7.1f} s  {word:7} {name}" + (f": {detail}" if detail else ""), flush=True)

    def close(self):
        """The closing lines; the exit code."""
        if self.skips:
            print(f"{self.part}: skipped: {', '.join(self.skips)}")
        if self.failures:
            print(f"{self.part}: failed: {', '.join(self.failures)}")
        print(
            f"{self.part}: {self.passed} passed, {len(self.failures)} failed, {len(self.skips)} skipped",
            flush=True,
        )
        return 1 if self.failures else 0

#!/usr/bin/env bash
# The tests from outside, against the built program: Kafka's recorded answers, kill -9, foreign clients, Kafka's tools.
# Needs target/release/ottla (CARGO_TARGET_DIR and OTTLA_BIN are honoured) and Python 3.
# What else is needed is installed where that can be done, or skipped by name.
#   tests/run.sh [conformance] [kill] [clients] [tools]      all of them without arguments
set -uo pipefail
cd "$(dirname "$0")/.."
export OTTLA_BIN=${OTTLA_BIN:-${CARGO_TARGET_DIR:-$PWD/target}/release/ottla}
if [ ! -x "$OTTLA_BIN" ]; then
    echo "$OTTLA_BIN is missing: cargo build --release --bin ottla" >&2
    exit 1
fi
OTTLA_BIN=$(realpath "$OTTLA_BIN")
mkdir -p tests/.work
lines=()
failed=0

part() {
    local name=$1 start=$SECONDS log=tests/.work/$1.log
    shift
    echo "== $name"
    "$@" 2>&1 | tee "$log"
    local code=${PIPESTATUS[0]}
    [ "$code" -eq 0 ] || failed=1
    local closing
    closing=$(grep -E "^$name: ([0-9]+ passed|skipped:|failed:)" "$log" || true)
    lines+=("${closing:-$name: 0 passed, 1 failed, 0 skipped (ended with $code before it could count)} ($((SECONDS - start)) s)")
}

python_part() {
    if ! command -v python3 >/dev/null; then
        echo "$1: skipped: all (python3 is not installed)"
        echo "$1: 0 passed, 0 failed, 1 skipped"
        return
    fi
    python3 -B "$2"
}

# Every recorded session, answered by this very binary as Kafka answered.
conformance() {
    local out code
    out=$(cargo test --quiet -p ottla-tests --test conformance 2>&1)
    code=$?
    if [ "$code" -ne 0 ]; then
        printf '%s\n' "$out"
        echo "conformance: 0 passed, 1 failed, 0 skipped"
        return "$code"
    fi
    echo "conformance: $(find tests/conformance -name '*.session' | wc -l) passed, 0 failed, 0 skipped"
}

for name in ${*:-conformance kill clients tools}; do
    case $name in
        conformance) part conformance conformance ;;
        kill) part kill python_part kill tests/kill/kill.py ;;
        clients) part clients python_part clients tests/clients/run.py ;;
        tools) part tools python_part tools tests/tools/tools.py ;;
        *)
            sed -n '2,5s/^# *//p' "$0" >&2
            exit 2
            ;;
    esac
done

echo "== outside, $SECONDS s"
printf '%s\n' "${lines[@]}"
exit "$failed"

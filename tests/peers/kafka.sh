#!/bin/bash
# Apache Kafka from its published jars: the reference that Ottla's answers are compared with.
#   kafka.sh libs                 fetch the jars (about 100 files, 150 MB, once) into $KAFKA_LIBS
#   kafka.sh start DIR PORT       format DIR and start one node there on 127.0.0.1:PORT (its controller on PORT + 1)
#   kafka.sh tool CLASS ARG...    run one of Kafka's tools, e.g. org.apache.kafka.tools.TopicCommand --list ...
#   kafka.sh stop DIR             stop the node that was started in DIR
# Needs Java 17 or later and Maven. KAFKA_LIBS (default: target/peers/kafka in the project) keeps the jars, HEAP
# (default 512m) sets the heap, JVM other flags (default: quick to start), EXTRA holds further lines for server.properties.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
libs=${KAFKA_LIBS:-$here/../../target/peers/kafka}
logging="-Dlog4j2.configurationFile=$here/log4j2.xml"

usage() { sed -n '2,8s/^# *//p' "$0" >&2; exit 2; }

fetch() {
  [ -e "$libs/.complete" ] && return
  mkdir -p "$libs"
  mvn -q -B -f "$here/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$libs"
  touch "$libs/.complete"
}

tool() { java -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 "$logging" -cp "$libs/*" "$@"; }

start() {
  local dir=$1 port=$2
  fetch
  mkdir -p "$dir"
  cat >"$dir/server.properties" <<P
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((port + 1))
advertised.listeners=PLAINTEXT://127.0.0.1:$port
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
controller.quorum.voters=1@127.0.0.1:$((port + 1))
log.dirs=$dir/data
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
${EXTRA:-}
P
  tool kafka.tools.StorageTool format -t "$(tool kafka.tools.StorageTool random-uuid 2>/dev/null)" \
    -c "$dir/server.properties" >"$dir/1.log" 2>&1
  setsid java -server -Xmx"${HEAP:-512m}" ${JVM:--XX:+UseSerialGC -XX:TieredStopAtLevel=1} -Djava.awt.headless=true "$logging" \
    -cp "$libs/*" kafka.Kafka "$dir/server.properties" >>"$dir/1.log" 2>&1 </dev/null &
  echo $! >"$dir/1.pid"
  for _ in $(seq 600); do
    # The port opens when the broker is ready to answer.
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      echo "ready on 127.0.0.1:$port"
      return
    fi
    kill -0 "$(cat "$dir/1.pid")" 2>/dev/null || break
    sleep 0.1
  done
  echo "not ready; see $dir/1.log" >&2
  exit 1
}

stop() {
  local pid
  [ -e "$1/1.pid" ] || return 0
  pid=$(cat "$1/1.pid")
  rm -f "$1/1.pid"
  kill -9 "$pid" 2>/dev/null || true
  while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
}

case ${1:-} in
  libs) fetch ;;
  start) [ $# -eq 3 ] || usage; start "$2" "$3" ;;
  tool) shift; fetch; tool "$@" ;;
  stop) [ $# -eq 2 ] || usage; stop "$2" ;;
  *) usage ;;
esac

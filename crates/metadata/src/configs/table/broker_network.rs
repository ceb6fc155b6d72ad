//! Broker keys: listeners, connections, sockets, request limits.

use super::prelude::*;

keys! {
    "listeners" List "PLAINTEXT://:9092" [Any] High ReadOnly
        "Where the broker listens: a comma-separated list of LISTENER://host:port; an empty host means every address." Partly(PLAINTEXT);
    "advertised.listeners" List null [Any] High ReadOnly
        "The addresses told to clients, if they differ from where the broker listens." Implemented;
    "listener.security.protocol.map" String "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT" [Any] Low ReadOnly
        "Which security protocol each listener name stands for." Partly(PLAINTEXT);
    "inter.broker.listener.name" String null [Any] Medium ReadOnly
        "The listener that brokers use among themselves." NoEffect(ONE);
    "security.inter.broker.protocol" String "PLAINTEXT" [OneOf(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"])] Medium ReadOnly
        "The security protocol that brokers use among themselves." NoEffect(ONE);
    "early.start.listeners" List null [Any] High ReadOnly
        "Listeners that open before the broker has finished starting." NoEffect("Every listener opens when the broker is ready to serve it.");
    "controller.listener.names" List required [Any] High ReadOnly
        "The listeners on which the controller is reached." Partly(CONTROLLERS);
    "connections.max.idle.ms" Long "600000" [Any] Medium ReadOnly
        "How long a connection may be silent before the broker closes it." Implemented;
    "max.connections" Int "2147483647" [AtLeast(0)] Medium ReadOnly
        "How many connections the broker accepts in all; unset, 80 % of the files that the process may have open." Implemented;
    "max.connections.per.ip" Int "2147483647" [AtLeast(0)] Medium ReadOnly
        "How many connections the broker accepts from one address." Implemented;
    "max.connections.per.ip.overrides" String "" [Any] Medium ClusterWide
        "Exceptions to max.connections.per.ip, as address:number." Refused(LATER);
    "max.connection.creation.rate" Int "2147483647" [AtLeast(0)] Medium ClusterWide
        "How many connections a second the broker accepts." Refused(LATER);
    "connection.failed.authentication.delay.ms" Int "100" [AtLeast(0)] Low ReadOnly
        "How long the broker waits before it closes a connection whose login failed." NoEffect(SEC);
    "connections.max.reauth.ms" Long "0" [Any] Medium ReadOnly
        "After how long a SASL connection has to log in again." Refused(SEC);
    "socket.listen.backlog.size" Int "50" [AtLeast(1)] Medium ReadOnly
        "How many connections may wait to be accepted." NoEffect("Ottla always asks for a long queue.");
    "socket.receive.buffer.bytes" Int "102400" [Any] High ReadOnly
        "The size of a socket's receive buffer; -1 leaves it to the operating system." NoEffect("The operating system sizes the buffers of sockets.");
    "socket.send.buffer.bytes" Int "102400" [Any] High ReadOnly
        "The size of a socket's send buffer; -1 leaves it to the operating system." NoEffect("The operating system sizes the buffers of sockets.");
    "max.decompressed.message.bytes" Int "134217728" [AtLeast(1)] Medium ReadOnly
        "What a compressed batch may unpack to before the broker refuses it." Implemented;
    "socket.request.max.bytes" Int "104857600" [AtLeast(1)] High ReadOnly
        "The largest request that a connection may send." Implemented;
    "socket.connection.setup.timeout.ms" Long "10000" [Any] Medium ReadOnly
        "How long to wait for a connection to another node at first." NoEffect(ONE);
    "socket.connection.setup.timeout.max.ms" Long "30000" [Any] Medium ReadOnly
        "How long to wait for a connection to another node at most." NoEffect(ONE);
    "queued.max.requests" Int "500" [AtLeast(1)] High ReadOnly
        "How many requests may wait for a thread." NoEffect("Ottla bounds waiting requests by bytes, not by number.");
    "queued.max.request.bytes" Long "-1" [Any] Medium ReadOnly
        "How many bytes of requests the broker holds at once before it stops reading from sockets, and how many bytes of records, besides, it reads at once for answers to fetches; -1 stands for a quarter of the memory that the process may have." Implemented;
    "request.timeout.ms" Int "30000" [Any] High ReadOnly
        "How long the broker waits for the answer of another node." NoEffect(ONE);
    "max.request.partition.size.limit" Int "2000" [AtLeast(1)] Medium ReadOnly
        "How many partitions one DescribeTopicPartitions answer holds at most." NoEffect("A page holds 2,000 partitions at most.");
    "num.network.threads" Int "3" [AtLeast(1)] High ClusterWide
        "Threads that read and write the network." NoEffect(THREADS);
    "num.io.threads" Int "8" [AtLeast(1)] High ClusterWide
        "Threads that serve requests." NoEffect(THREADS);
    "background.threads" Int "10" [AtLeast(1)] High ClusterWide
        "Threads for background work." NoEffect(THREADS);
    "fetch.max.bytes" Int "57671680" [AtLeast(1024)] Medium ReadOnly
        "The largest answer to a fetch." Implemented;
    "max.incremental.fetch.session.cache.slots" Int "1000" [AtLeast(0)] Medium ReadOnly
        "How many incremental fetch sessions the broker keeps." Implemented;
    "fetch.purgatory.purge.interval.requests" Int "1000" [Any] Medium ReadOnly
        "How often, in requests, finished waiting fetches are swept away." NoEffect(PURGATORY);
    "producer.purgatory.purge.interval.requests" Int "1000" [Any] Medium ReadOnly
        "How often, in requests, finished waiting produce requests are swept away." NoEffect(PURGATORY);
    "delete.records.purgatory.purge.interval.requests" Int "1" [Any] Medium ReadOnly
        "How often, in requests, finished waiting DeleteRecords requests are swept away." NoEffect(PURGATORY);
    "share.fetch.purgatory.purge.interval.requests" Int "1000" [Any] Medium ReadOnly
        "How often, in requests, finished waiting share fetches are swept away." NoEffect(PURGATORY);
    "telemetry.max.bytes" Int "1048576" [AtLeast(1)] Low ReadOnly
        "The largest metrics push that a client may send." Refused(LATER);
    "client.quota.callback.class" Class null [Any] Low ReadOnly
        "A Java class that decides quotas." Refused(JVM);
    "quota.window.num" Int "11" [AtLeast(1)] Low ReadOnly
        "How many samples a client quota is averaged over." NoEffect(QUOTA);
    "quota.window.size.seconds" Int "1" [AtLeast(1)] Low ReadOnly
        "The length of a client quota's sample." NoEffect(QUOTA);
    "controller.quota.window.num" Int "11" [AtLeast(1)] Low ReadOnly
        "How many samples the quota of topic changes is averaged over." NoEffect(QUOTA);
    "controller.quota.window.size.seconds" Int "1" [AtLeast(1)] Low ReadOnly
        "The length of a sample of the quota of topic changes." NoEffect(QUOTA);
    hidden "unstable.api.versions.enable" Boolean "false" [Any] High ReadOnly
        "Whether API versions that may still change are offered." Refused("Ottla offers only versions that will not change.");
}

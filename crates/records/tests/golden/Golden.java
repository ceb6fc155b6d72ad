// Writes batches with Apache Kafka's own classes, as annotated hex. See README.md.

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.message.KRaftVersionRecord;
import org.apache.kafka.common.message.LeaderChangeMessage;
import org.apache.kafka.common.message.SnapshotFooterRecord;
import org.apache.kafka.common.message.SnapshotHeaderRecord;
import org.apache.kafka.common.message.VotersRecord;
import org.apache.kafka.common.protocol.MessageUtil;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.ControlRecordType;
import org.apache.kafka.common.record.internal.EndTransactionMarker;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.MemoryRecordsBuilder;
import org.apache.kafka.common.record.internal.RecordBatch;

public class Golden {
    static final long TIME = 1700000000000L;
    static final String[] FIELDS = {
        "baseOffset", "batchLength", "partitionLeaderEpoch", "magic", "crc", "attributes", "lastOffsetDelta",
        "baseTimestamp", "maxTimestamp", "producerId", "producerEpoch", "baseSequence", "recordsCount"};
    static final int[] STARTS = {0, 8, 12, 16, 17, 21, 23, 27, 35, 43, 51, 53, 57, 61};
    static Path out;

    public static void main(String[] args) throws Exception {
        out = Path.of(args[0]);
        Map<String, Compression> codecs = new TreeMap<>(Map.of(
            "none", Compression.NONE,
            "gzip", Compression.gzip().build(),
            "snappy", Compression.snappy().build(),
            "lz4", Compression.lz4().build(),
            "zstd", Compression.zstd().build()));
        for (String name : codecs.keySet()) {
            small(name, codecs.get(name));
            if (!name.equals("none")) blocks(name, codecs.get(name));
        }
        markers();
        quorum();
    }

    static void small(String name, Compression codec) throws Exception {
        MemoryRecordsBuilder batch = MemoryRecords.builder(ByteBuffer.allocate(1024), RecordBatch.CURRENT_MAGIC_VALUE,
            codec, TimestampType.CREATE_TIME, 0, -1, 4711, (short) 3, 17, true, false, -1);
        Header[] none = {};
        Header[] some = {new RecordHeader("a", bytes("1")), new RecordHeader("a", bytes("2")),
            new RecordHeader("", (byte[]) null)};
        Header[] empty = {new RecordHeader("trace", new byte[0])};
        batch.append(TIME, bytes("k1"), bytes("hello"), none);
        batch.append(TIME + 250, null, bytes("\u00e4\u00f6\u00fc \u2603"), some);
        batch.append(TIME - 1, bytes("k3"), null, none);
        batch.append(TIME + 250, new byte[0], bytes("x".repeat(300)), empty);
        write("java-" + name, "Apache Kafka 4.3.1 MemoryRecordsBuilder, " + name
            + ", transactional, producer 4711 epoch 3 sequence 17, four records", batch.build());
    }

    static void blocks(String name, Compression codec) throws Exception {
        MemoryRecordsBuilder batch = MemoryRecords.builder(ByteBuffer.allocate(1024), RecordBatch.CURRENT_MAGIC_VALUE,
            codec, TimestampType.LOG_APPEND_TIME, 7, TIME + 777, -1, (short) -1, -1, false, false, 5);
        for (int i = 0; i < 30; i++)
            batch.append(0L, bytes("key-" + i), bytes(("value " + i + " ").repeat(700)), new Header[0]);
        write("java-blocks-" + name, "Apache Kafka 4.3.1 MemoryRecordsBuilder, " + name
            + ", base offset 7, leader epoch 5, log append time 1700000000777, 30 records larger than a block",
            batch.build());
    }

    static void markers() throws Exception {
        EndTransactionMarker commit = new EndTransactionMarker(ControlRecordType.COMMIT, 9);
        write("control-commit", "end of transaction: COMMIT, producer 4711 epoch 3, coordinator epoch 9, offset 100,"
            + " leader epoch 4", MemoryRecords.withEndTransactionMarker(100, TIME, 4, 4711, (short) 3, commit));
        EndTransactionMarker abort = new EndTransactionMarker(ControlRecordType.ABORT, 9);
        write("control-abort", "end of transaction: ABORT, producer 4711 epoch 3, coordinator epoch 9, offset 101,"
            + " leader epoch 4", MemoryRecords.withEndTransactionMarker(101, TIME, 4, 4711, (short) 3, abort));
    }

    static void quorum() throws Exception {
        LeaderChangeMessage change = new LeaderChangeMessage().setVersion((short) 0).setLeaderId(1)
            .setVoters(List.of(new LeaderChangeMessage.Voter().setVoterId(1))).setGrantingVoters(List.of());
        write("control-leader-change-0", "leader change version 0: leader 1, voter 1, granted by none",
            MemoryRecords.withLeaderChangeMessage(200, TIME, 6, ByteBuffer.allocate(512), change));
        // Version 1 exists, and 4.3.1 does not write it into batches yet.
        LeaderChangeMessage.Voter one = new LeaderChangeMessage.Voter().setVoterId(1).setVoterDirectoryId(new Uuid(1, 11));
        LeaderChangeMessage.Voter two = new LeaderChangeMessage.Voter().setVoterId(2).setVoterDirectoryId(new Uuid(2, 22));
        LeaderChangeMessage change1 = new LeaderChangeMessage().setVersion((short) 1).setLeaderId(2)
            .setVoters(List.of(one, two)).setGrantingVoters(List.of(two.duplicate()));
        byte[] value = array(MessageUtil.toByteBufferAccessor(change1, (short) 1).buffer());
        Files.writeString(out.resolve("value-leader-change-1.hex"), "# Value of a leader change record, version 1:"
            + " leader 2, voters 1 and 2 with directory ids, granted by 2.\n" + hex(value, 0, value.length) + "\n");

        write("control-snapshot-header", "snapshot header: last contained log timestamp 1699999999000",
            MemoryRecords.withSnapshotHeaderRecord(0, TIME, 6, ByteBuffer.allocate(512),
                new SnapshotHeaderRecord().setVersion((short) 0).setLastContainedLogTimestamp(TIME - 1000)));
        write("control-snapshot-footer", "snapshot footer",
            MemoryRecords.withSnapshotFooterRecord(9, TIME, 6, ByteBuffer.allocate(512),
                new SnapshotFooterRecord().setVersion((short) 0)));
        write("control-kraft-version", "KRaft version 1",
            MemoryRecords.withKRaftVersionRecord(1, TIME, 6, ByteBuffer.allocate(512),
                new KRaftVersionRecord().setVersion((short) 0).setKRaftVersion((short) 1)));
        VotersRecord.EndpointCollection endpoints = new VotersRecord.EndpointCollection();
        endpoints.add(new VotersRecord.Endpoint().setName("CONTROLLER").setHost("localhost").setPort(9093));
        VotersRecord.Voter voter = new VotersRecord.Voter().setVoterId(1).setVoterDirectoryId(new Uuid(1, 11))
            .setEndpoints(endpoints).setKRaftVersionFeature(new VotersRecord.KRaftVersionFeature()
                .setMinSupportedVersion((short) 0).setMaxSupportedVersion((short) 1));
        write("control-kraft-voters", "KRaft voters: 1 at localhost:9093",
            MemoryRecords.withVotersRecord(2, TIME, 6, ByteBuffer.allocate(512),
                new VotersRecord().setVersion((short) 0).setVoters(List.of(voter))));
    }

    static void write(String name, String about, MemoryRecords batch) throws Exception {
        byte[] bytes = array(batch.buffer());
        StringBuilder text = new StringBuilder("# " + about + "\n");
        for (int i = 0; i < FIELDS.length; i++)
            text.append(hex(bytes, STARTS[i], STARTS[i + 1])).append("  # ").append(FIELDS[i]).append("\n");
        text.append("# records\n");
        for (int i = 61; i < bytes.length; i += 32)
            text.append(hex(bytes, i, Math.min(bytes.length, i + 32))).append("\n");
        Files.writeString(out.resolve(name + ".hex"), text);
    }

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    static byte[] array(ByteBuffer buffer) {
        byte[] bytes = new byte[buffer.remaining()];
        buffer.duplicate().get(bytes);
        return bytes;
    }

    static String hex(byte[] bytes, int from, int to) {
        return HexFormat.ofDelimiter(" ").formatHex(bytes, from, to);
    }
}

import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.OutputStreamWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** The Java client as a foreign client; see ../README.md for the command line. */
public final class Client {
    private Client() {}

    public static void main(String[] args) throws Exception {
        Map<String, String> options = new HashMap<>();
        for (int at = 1; at < args.length; at += 2) {
            options.put(args[at].substring(2), args[at + 1]);
        }
        if (args[0].equals("produce")) {
            produce(options);
        } else {
            consume(options);
        }
    }

    private static void produce(Map<String, String> options) throws Exception {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", options.get("bootstrap"));
        settings.put("acks", "all");
        settings.put("enable.idempotence", "true");
        settings.put("compression.type", options.get("codec"));
        settings.put("linger.ms", "20");
        settings.put("delivery.timeout.ms", "60000");
        AtomicReference<Exception> failed = new AtomicReference<>();
        int count = 0;
        try (var producer = new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer());
                BufferedReader lines = Files.newBufferedReader(Path.of(options.get("file")))) {
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                int tab = line.indexOf('\t');
                byte[] key = line.substring(0, tab).getBytes(StandardCharsets.UTF_8);
                byte[] value = line.substring(tab + 1).getBytes(StandardCharsets.UTF_8);
                producer.send(new ProducerRecord<>(options.get("topic"), key, value), (metadata, error) -> {
                    if (error != null) {
                        failed.set(error);
                    }
                });
                count++;
            }
            producer.flush();
        }
        if (failed.get() != null) {
            throw failed.get();
        }
        System.out.println("SENT " + count);
    }

    private static void consume(Map<String, String> options) throws Exception {
        int rate = Integer.parseInt(options.getOrDefault("rate", "0"));
        Properties settings = new Properties();
        settings.put("bootstrap.servers", options.get("bootstrap"));
        settings.put("group.id", options.get("group"));
        settings.put("auto.offset.reset", "earliest");
        settings.put("auto.commit.interval.ms", "500");
        settings.put("session.timeout.ms", "6000");
        settings.put("heartbeat.interval.ms", "500");
        settings.put("max.poll.records", "200");
        MessageDigest sha1 = MessageDigest.getInstance("SHA-1");
        var out = new BufferedWriter(new OutputStreamWriter(System.out, StandardCharsets.UTF_8));
        var consumer = new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer());
        Thread main = Thread.currentThread();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            consumer.wakeup();
            try {
                main.join(10_000);
            } catch (InterruptedException error) {
                Thread.currentThread().interrupt();
            }
        }));
        try {
            consumer.subscribe(Arrays.asList(options.get("topic").split(",")));
            while (true) {
                // What one poll returned is committed by a later one, so it is printed before it counts.
                ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofMillis(200));
                for (ConsumerRecord<byte[], byte[]> record : records) {
                    out.write("REC\t" + record.topic() + "\t" + record.partition() + "\t" + record.offset() + "\t"
                            + new String(record.key(), StandardCharsets.UTF_8) + "\t"
                            + HexFormat.of().formatHex(sha1.digest(record.value())) + "\n");
                }
                out.flush();
                if (rate > 0) {
                    Thread.sleep(1000L * records.count() / rate);
                }
            }
        } catch (WakeupException stopped) {
            consumer.close();
        }
        // Leaving main ends the shutdown hook's wait; the exit code of SIGTERM (143) stays.
    }
}

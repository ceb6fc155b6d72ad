// Asks Apache Kafka's own generated classes for the bytes of every message in every version.
//
// A message is made as JSON from its schema: each field that the version has gets a value of its
// own that is not the default, tagged fields included, and now and then a null or an empty array.
// Kafka's JSON converter turns it into a message, and the message writes itself. The output, one
// line "Name version hex" twice for each message and version, is kept beside this file as *.hex.
//
//   mvn -q -f pom.xml dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory=/tmp/kafka-jars
//   java -cp '/tmp/kafka-jars/*' Goldens.java ../../schemas .

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.BinaryNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.File;
import java.io.PrintWriter;
import java.lang.reflect.Method;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.Random;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.ObjectSerializationCache;

public class Goldens {
    static final String[] PACKAGES = {
        "org.apache.kafka.common.message",
        "org.apache.kafka.common.metadata",
        "org.apache.kafka.coordinator.group.generated",
        "org.apache.kafka.coordinator.transaction.generated",
        "org.apache.kafka.coordinator.share.generated",
        "org.apache.kafka.raft.generated",
        "org.apache.kafka.server.log.remote.metadata.storage.generated",
        "org.apache.kafka.storage.internals.log.generated",
        "org.apache.kafka.storage.internals.generated",
        "org.apache.kafka.server.log.generated",
        "org.apache.kafka.storage.generated",
    };
    static final ObjectMapper JSON = new ObjectMapper();

    static Random random;
    static int counter;
    static JsonNode schema;
    static int version;

    public static void main(String[] args) throws Exception {
        File[] folders = new File(args[0]).listFiles();
        Arrays.sort(folders);
        for (File folder : folders) {
            try (PrintWriter out = new PrintWriter(new File(args[1], folder.getName() + ".hex"))) {
                File[] files = folder.listFiles();
                Arrays.sort(files);
                for (File file : files) {
                    message(file, out);
                }
            }
        }
    }

    static void message(File file, PrintWriter out) throws Exception {
        schema = JSON.readTree(file);
        String name = schema.get("name").asText();
        int[] valid = range(schema.get("validVersions").asText());
        if (valid[0] > valid[1]) {
            return;
        }
        Class<?> type = find(name);
        if (type == null) {
            System.err.println("not found: " + name);
            return;
        }
        Class<?> converter = Class.forName(type.getName() + "JsonConverter");
        Method read = converter.getMethod("read", JsonNode.class, short.class);
        random = new Random(name.hashCode());
        for (int i = 2 * valid[0]; i < 2 * valid[1] + 2; i++) {
            version = i / 2;
            counter = i;
            JsonNode json = struct(schema.get("fields"));
            Message message = (Message) read.invoke(null, json, (short) version);
            ObjectSerializationCache cache = new ObjectSerializationCache();
            ByteBuffer buffer = ByteBuffer.allocate(message.size(cache, (short) version));
            message.write(new ByteBufferAccessor(buffer), cache, (short) version);
            if (buffer.hasRemaining()) {
                throw new IllegalStateException(name + " is shorter than its size");
            }
            out.println(name + " " + version + " " + HexFormat.of().formatHex(buffer.array()));
        }
    }

    static Class<?> find(String name) {
        for (String p : PACKAGES) {
            for (String suffix : new String[] {"Data", ""}) {
                try {
                    return Class.forName(p + "." + name + suffix);
                } catch (ClassNotFoundException e) {
                    continue;
                }
            }
        }
        return null;
    }

    static int[] range(String text) {
        if (text.equals("none")) {
            return new int[] {0, -1};
        } else if (text.endsWith("+")) {
            return new int[] {Integer.parseInt(text.substring(0, text.length() - 1)), Integer.MAX_VALUE};
        }
        String[] parts = text.split("-");
        return new int[] {Integer.parseInt(parts[0]), Integer.parseInt(parts[parts.length - 1])};
    }

    static boolean in(JsonNode field, String key) {
        if (!field.has(key)) {
            return false;
        }
        int[] range = range(field.get(key).asText());
        return range[0] <= version && version <= range[1];
    }

    static ObjectNode struct(JsonNode fields) {
        ObjectNode node = JSON.createObjectNode();
        for (JsonNode field : fields) {
            if (!in(field, field.has("versions") ? "versions" : "taggedVersions")) {
                continue;
            }
            String name = field.get("name").asText();
            name = Character.toLowerCase(name.charAt(0)) + name.substring(1);
            boolean tagged = field.has("tag");
            if (tagged && random.nextInt(5) == 0) {
                continue;
            }
            if (in(field, "nullableVersions") && random.nextInt(6) == 0) {
                node.putNull(name);
                continue;
            }
            node.set(name, value(field, field.get("type").asText()));
        }
        return node;
    }

    static JsonNode value(JsonNode field, String type) {
        counter++;
        if (type.startsWith("[]")) {
            ArrayNode array = JSON.createArrayNode();
            for (int i = random.nextInt(8) == 0 ? 0 : 1 + random.nextInt(2); i > 0; i--) {
                array.add(value(field, type.substring(2)));
            }
            return array;
        }
        long number = random.nextInt(4) == 0 ? -2 - counter : random.nextInt(4) == 0 ? random.nextLong() : counter;
        switch (type) {
            case "bool": return JSON.getNodeFactory().booleanNode(random.nextBoolean());
            case "int8": return JSON.getNodeFactory().numberNode((byte) number);
            case "int16": return JSON.getNodeFactory().numberNode((short) number);
            case "uint16": return JSON.getNodeFactory().numberNode((int) (number & 0xffff));
            case "int32": return JSON.getNodeFactory().numberNode((int) number);
            case "uint32": return JSON.getNodeFactory().numberNode(number & 0xffffffffL);
            case "int64": return JSON.getNodeFactory().numberNode(number);
            case "float64": return JSON.getNodeFactory().numberNode(number / 8.0);
            case "uuid": return JSON.getNodeFactory().textNode(new Uuid(number, counter).toString());
            case "string": return JSON.getNodeFactory().textNode(text());
            case "bytes":
            case "records":
                byte[] bytes = new byte[random.nextInt(4) == 0 ? 150 : 5];
                random.nextBytes(bytes);
                return new BinaryNode(bytes);
            default: break;
        }
        if (field.has("fields")) {
            return struct(field.get("fields"));
        }
        for (JsonNode common : schema.get("commonStructs")) {
            if (common.get("name").asText().equals(type)) {
                return struct(common.get("fields"));
            }
        }
        throw new IllegalStateException("no struct " + type);
    }

    static String text() {
        switch (random.nextInt(12)) {
            case 0: return "é日" + counter;
            case 1: return "x".repeat(130) + counter;
            default: return "s" + counter;
        }
    }
}

import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.Map;
import java.util.TreeMap;
import org.apache.avro.Conversions;
import org.apache.avro.Schema;
import org.apache.avro.data.TimeConversions;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.message.BinaryMessageDecoder;

/**
 * Decodes events with nothing but the schemas: Apache Avro's own reader of single-object encoding.
 *
 * <pre>
 * mvn -f examples/pom.xml dependency:copy-dependencies -DoutputDirectory=/tmp/jars
 * zindigi events --raw | java -cp '/tmp/jars/*' examples/ReadEvents.java schemas/avro
 * </pre>
 *
 * Reads lines of {@code topic TAB hex} and prints one JSON object a line.
 */
public final class ReadEvents {
  private static final GenericData DATA = new GenericData();

  static {
    DATA.addLogicalTypeConversion(new Conversions.DecimalConversion());
    DATA.addLogicalTypeConversion(new TimeConversions.TimestampMicrosConversion());
    DATA.addLogicalTypeConversion(new TimeConversions.DateConversion());
  }

  public static void main(String[] arguments) throws IOException {
    Map<String, BinaryMessageDecoder<GenericRecord>> decoders = new TreeMap<>();
    try (var paths = Files.newDirectoryStream(Path.of(arguments[0]), "*.avsc")) {
      for (Path path : paths) {
        Schema schema = new Schema.Parser().parse(path.toFile());
        String topic = path.getFileName().toString().replace(".avsc", "");
        var decoder = new BinaryMessageDecoder<GenericRecord>(DATA, schema);
        // Events that a released version wrote are read as the present one, with the defaults of its later fields.
        File[] released = path.resolveSibling("released").resolve(topic).toFile().listFiles();
        for (File version : released == null ? new File[0] : released) {
          decoder.addSchema(new Schema.Parser().parse(version));
        }
        decoders.put(topic, decoder);
      }
    }
    var out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    var lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      String[] parts = line.split("\t");
      GenericRecord event = decoders.get(parts[0]).decode(HexFormat.of().parseHex(parts[1]));
      out.println("{\"topic\": " + quoted(parts[0]) + ", " + json(event).substring(1));
    }
    out.flush();
  }

  private static String json(Object value) {
    if (value == null) {
      return "null";
    }
    var text = new StringBuilder();
    if (value instanceof GenericRecord record) {
      for (Schema.Field field : record.getSchema().getFields()) {
        text.append(text.isEmpty() ? "{" : ", ");
        text.append(quoted(field.name())).append(": ").append(json(record.get(field.pos())));
      }
      return text.append("}").toString();
    }
    if (value instanceof Iterable<?> items) {
      for (Object item : items) {
        text.append(text.isEmpty() ? "" : ", ").append(json(item));
      }
      return "[" + text + "]";
    }
    // Amounts, instants and dates are strings in JSON, so that no digit is lost.
    boolean bare = value instanceof Integer || value instanceof Long || value instanceof Boolean;
    return bare ? value.toString() : quoted(value.toString());
  }

  private static String quoted(String text) {
    var quoted = new StringBuilder("\"");
    for (char letter : text.toCharArray()) {
      if (letter == '"' || letter == '\\') {
        quoted.append('\\').append(letter);
      } else if (letter < ' ') {
        quoted.append(String.format("\\u%04x", (int) letter));
      } else {
        quoted.append(letter);
      }
    }
    return quoted.append('"').toString();
  }
}

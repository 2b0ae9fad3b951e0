// Parses an AsyncAPI document with AsyncAPI's own parser and prints what it says of it as JSON.
// Run in the directory that holds node_modules: node parse.mjs <document>
import { AvroSchemaParser } from "@asyncapi/avro-schema-parser";
import { fromFile, Parser } from "@asyncapi/parser";

const parser = new Parser({ schemaParsers: [AvroSchemaParser()] });
const { document, diagnostics } = await fromFile(parser, process.argv[2]).parse();
const severities = ["error", "warning", "information", "hint"];

console.log(
  JSON.stringify({
    diagnostics: diagnostics.map(({ code, message, path, severity }) => ({
      severity: severities[severity],
      code,
      message,
      path: path.join("."),
    })),
    channels: document?.channels().all().map((channel) => ({
      address: channel.address(),
      messages: channel.messages().all().map((message) => ({
        name: message.name(),
        contentType: message.contentType(),
        key: message.bindings().get("kafka")?.json().key?.type,
        headers: message.headers()?.json(),
        payload: message.payload()?.json(),
      })),
      operations: channel.operations().all().map((operation) => operation.action()),
    })),
  }),
);

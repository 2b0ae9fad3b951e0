"""Every event of a topic that is framed by ids of a schema registry, a JSON object a line; plain confluent-kafka.

`python examples/read_registry.py 127.0.0.1:9092 zindigi.lending http://127.0.0.1:8081`: brokers, topic, registry.
"""

import json
import sys

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

servers, topic, registry = sys.argv[1:]
settings = {"bootstrap.servers": servers, "isolation.level": "read_committed", "enable.partition.eof": True}
consumer = Consumer({**settings, "group.id": "read_registry", "enable.auto.commit": False})
deserialize = AvroDeserializer(SchemaRegistryClient({"url": registry}))
context = SerializationContext(topic, MessageField.VALUE)

unread = set(consumer.list_topics(topic).topics[topic].partitions)
consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in unread])
while unread:
    message = consumer.poll()
    error = message.error()
    if error is None:
        print(json.dumps(deserialize(message.value(), context), default=str))
    elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  # its public name
        unread.discard(message.partition())
    else:
        raise KafkaException(error)
consumer.close()

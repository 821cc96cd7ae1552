"""Reads every topic of an installation with the confluent client, as somebody else's program would.

Each record must be a CloudEvent in binary mode whose body is valid under the published JSON Schema of
its type; the numbers of each partition must go 1, 2, 3, ... where repeated ones are left out. Prints
one JSON object: how many different events each topic holds, and the types of events of each trace.

  read_topics.py BROKERS PREFIX SCHEMAS
"""

import json
import pathlib
import sys

import confluent_kafka
import jsonschema

brokers, prefix, folder = sys.argv[1:]
consumer = confluent_kafka.Consumer(
    {"bootstrap.servers": brokers, "group.id": "foreign", "enable.auto.commit": False}
)
topics = [name for name in consumer.list_topics(timeout=10).topics if name.startswith(prefix)]
assert topics, f"no topic begins with {prefix}"

parts, ends = [], {}
for topic in topics:
    for partition in consumer.list_topics(topic, timeout=10).topics[topic].partitions:
        part = confluent_kafka.TopicPartition(topic, partition, confluent_kafka.OFFSET_BEGINNING)
        low, high = consumer.get_watermark_offsets(part, timeout=10)
        if high > low:
            parts.append(part)
            ends[topic, partition] = high
consumer.assign(parts)

validators, last, counts, traces = {}, {}, dict.fromkeys(topics, 0), {}


def validator(kind):
    if kind not in validators:
        schema = json.loads((pathlib.Path(folder) / f"{kind}.json").read_text())
        validators[kind] = jsonschema.Draft202012Validator(schema)
    return validators[kind]


while ends:
    message = consumer.poll(10)
    assert message is not None, f"nothing comes any more; missing: {ends}"
    assert message.error() is None, message.error()
    at = message.topic(), message.partition()
    headers = {name: value.decode() for name, value in message.headers()}
    assert headers["ce_specversion"] == "1.0", headers
    assert headers["content-type"] == "application/json", headers
    assert headers["ce_source"] == "/" + at[0].removeprefix(prefix), headers
    assert message.key().decode() == headers["ce_subject"], headers
    body = json.loads(message.value())
    validator(headers["ce_type"]).validate(body)
    number = int(headers["ce_sequence"])
    assert number <= last.get(at, 0) + 1, f"{at}: {number} after {last.get(at, 0)}"
    if number == last.get(at, 0) + 1:
        last[at] = number
        counts[at[0]] += 1
        if "traceparent" in headers:
            trace = headers["traceparent"].split("-")[1]
            traces.setdefault(trace, []).append(headers["ce_type"])
    if message.offset() + 1 >= ends.get(at, 0):
        ends.pop(at, None)

counts = {topic.removeprefix(prefix): count for topic, count in counts.items()}
print(json.dumps({"events": counts, "traces": traces}))

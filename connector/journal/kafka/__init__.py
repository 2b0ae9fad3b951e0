"""The Kafka journal: `ports.Journal` and `ports.JournalReader` on topics of an Apache Kafka cluster.

One transactional producer a shard; fencing it is what makes an owner the only writer. Events, state, links, quarantine
and applied commands are one transaction; whoever reads with `read_committed` sees all of it or nothing.
"""

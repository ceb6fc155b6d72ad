//! Every Kafka message: structs, codecs, frames and version tables, generated from schemas.

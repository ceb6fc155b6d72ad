//! Record batch v2: layout, CRC-32C, compression, control records, validation.

//! One replica of one partition: append, epochs, high watermark, producer state.

//! Each codec's decompression under a limit, and compression of what came out.
//!
//! Input: codec, compressed bytes.
#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use records::Codec;
use records::compression::{CompressionError, compress, decompress};

const LIMIT: usize = 1 << 18;

fuzz_target!(|data: &[u8]| -> Corpus {
    let [codec, compressed @ ..] = data else {
        return Corpus::Reject;
    };
    let Some(codec) = Codec::from_id(codec % 5) else {
        return Corpus::Reject;
    };
    match decompress(codec, compressed, LIMIT) {
        Ok(plain) => {
            assert!(plain.len() <= LIMIT);
            // A limit that just fits changes nothing; one less is an error.
            assert_eq!(
                decompress(codec, compressed, plain.len()).as_ref(),
                Ok(&plain)
            );
            if let Some(less) = plain.len().checked_sub(1) {
                let refused = Err(CompressionError::LimitExceeded { codec, limit: less });
                assert_eq!(decompress(codec, compressed, less), refused);
            }
            let again = compress(codec, None, &plain);
            assert_eq!(decompress(codec, &again, plain.len()).as_ref(), Ok(&plain));
        }
        Err(CompressionError::UnknownCodec(id)) => {
            panic!("{codec} is known, {id} was not asked for")
        }
        Err(CompressionError::LimitExceeded { .. } | CompressionError::Malformed { .. }) => {}
    }
    Corpus::Keep
});

//! Every request's body in every version.
//!
//! Input: API key, version (modulo those that exist), body.
#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use ottla_fuzz::Api;

fuzz_target!(|data: &[u8]| -> Corpus {
    let [key, version, body @ ..] = data else {
        return Corpus::Reject;
    };
    let Some(api) = Api::find(i16::from(*key)) else {
        return Corpus::Reject;
    };
    let _ = (api.request)(body, api.version(*version));
    Corpus::Keep
});

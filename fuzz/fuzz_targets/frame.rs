//! A request frame as it comes off a socket: header, then the body that the header names.
//!
//! Input: the frame without its size.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use ottla_fuzz::Api;
use protocol::{Reader, decode_request_header};

fuzz_target!(|data: &[u8]| {
    let mut r = Reader::new(Bytes::copy_from_slice(data));
    let Ok(header) = decode_request_header(&mut r) else {
        return;
    };
    let api = Api::find(header.api_key.0).expect("a header names an API that exists");
    let (first, last) = api.versions;
    assert!((first..=last).contains(&header.api_version));
    let _ = (api.request)(&r.rest(), header.api_version);
});

//! Lists every request that `crates/protocol` has, from its generated code: a message that is added
//! there is fuzzed here without anyone remembering to.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

fn main() {
    let generated = Path::new("../crates/protocol/src/generated");
    println!("cargo::rerun-if-changed={}", generated.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(generated).expect("the protocol crate lies beside this one") {
        let path = entry.expect("a directory that opens can be read").path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            let code = fs::read_to_string(&path).expect("generated code is UTF-8");
            let requests = code
                .lines()
                .filter_map(|line| line.strip_prefix("impl crate::codec::Request for "));
            names.extend(requests.map(|rest| rest.trim_end_matches([' ', '{', '}']).to_owned()));
        }
    }
    names.sort();
    assert!(names.len() > 80, "only {} requests were found", names.len());
    let mut table = String::from("&[\n");
    for name in names {
        writeln!(table, "    Api::of::<protocol::{name}>(),").expect("a String takes everything");
    }
    table.push_str("]\n");
    let out = env::var("OUT_DIR").expect("cargo sets it");
    fs::write(Path::new(&out).join("apis.rs"), table).expect("the build folder is writable");
}

//! The generated gRPC code is that of the contract.

use std::path::Path;
use std::{env, fs};

const PROTO: &str = "cmp/plugin.proto";
const CODE: &str = "src/cmp/wire.rs";
const OPENING: &str =
    "//! The gRPC service and its messages, generated: `UPDATE_WIRE=1 cargo test --test wire` makes it anew.\n//\n";

#[test]
fn the_generated_code_is_that_of_the_contract() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let made = generate(root);
    if env::var_os("UPDATE_WIRE").is_some() {
        fs::write(root.join(CODE), &made).unwrap();
    }
    let committed = fs::read_to_string(root.join(CODE)).unwrap();
    assert!(made == committed, "{CODE} is not what {PROTO} makes: UPDATE_WIRE=1 cargo test --test wire");
}

fn generate(root: &Path) -> String {
    let out = tempfile::tempdir().unwrap();
    let described = protox::compile([root.join(PROTO)], [root.join("cmp")]).unwrap();
    tonic_prost_build::configure()
        .build_client(false)
        .build_transport(false)
        .emit_package(true)
        .out_dir(out.path())
        // Chunks are slices of the buffer that they arrived in.
        .bytes(".plugin.File")
        // Rendered documents are encoded from where they lie.
        .extern_path(".plugin.ManifestResponse", "crate::cmp::reply::Reply")
        .compile_fds(described)
        .unwrap();
    let code = fs::read_to_string(out.path().join("plugin.rs")).unwrap();
    format!("{OPENING}{code}")
}

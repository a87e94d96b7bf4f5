//! Compiles `proto/portrait/v1` with protox, which needs no protoc, and writes the descriptor set for reflection.

use prost::Message;
use std::{env, error::Error, fs, path::Path, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    let files = ["error", "event", "feature", "ingest", "model", "profile", "query", "segment"]
        .map(|name| root.join("portrait/v1").join(name).with_extension("proto"));
    println!("cargo::rerun-if-changed={}", root.join("portrait/v1").display());
    // The order of the files does not matter: protox resolves the imports.
    let descriptors = protox::compile(files, [&root])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("portrait.v1.bin"), descriptors.encode_to_vec())?;
    let mut config = tonic_prost_build::Config::new();
    // The codec finds the bounds of a message by its name.
    config.enable_type_names();
    tonic_prost_build::configure()
        .codec_path("crate::bounded::BoundedCodec")
        .compile_fds_with_config(descriptors, config)?;
    Ok(())
}

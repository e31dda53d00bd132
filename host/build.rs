//! Makes Rust of `proto/inference.proto`, and the same as descriptors for
//! clients in other languages. Needs no `protoc`.

use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto/inference.proto");
    println!("cargo:rerun-if-changed=build.rs");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("there is no OUT_DIR")?);
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_source_info(true);
    compiler.include_imports(true);
    compiler.open_file("inference.proto")?;
    tonic_prost_build::configure()
        .bytes(".selvedge")
        .build_transport(false)
        .codec_path("crate::inference_api::codec::Codec")
        .compile_fds(compiler.file_descriptor_set())?;
    compiler.include_source_info(false);
    let descriptors = compiler.encode_file_descriptor_set();
    #[expect(
        clippy::disallowed_methods,
        reason = "a build script has no `fs_err`, and names the one file itself"
    )]
    std::fs::write(out.join("inference.binpb"), descriptors)?;
    Ok(())
}

//! A client in another language: Python's gRPC, with what the build made of the
//! `.proto`.

use std::process::Command;

use selvedge::inference_api::proto::DESCRIPTORS;

use super::world::World;
use crate::peers;

/// What the client says, as it is or as this user.
async fn python(world: &World, arguments: &[&str]) -> Option<String> {
    let folder = peers::installed(&["bin/python", "python/bin/python"])?;
    let descriptors = world.folder().join("inference.binpb");
    fs_err::write(&descriptors, DESCRIPTORS).unwrap();
    let said = world.folder().join("said");
    let file = fs_err::File::create(&said).unwrap().into_parts().0;
    let mut command = Command::new(folder.join("bin/python"));
    command
        .arg(peers::scripts().join("grpc/inference.py"))
        .args([&descriptors, &world.socket])
        .args(arguments)
        .stdout(file.try_clone().unwrap())
        .stderr(file);
    let ended = tokio::task::spawn_blocking(move || command.status().unwrap());
    let ended = ended.await.unwrap();
    let said = fs_err::read_to_string(said).unwrap();
    assert!(ended.success(), "{said}");
    Some(said)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_python_client_runs_models() {
    let capture = "capture = { fraction = 0 }";
    let world = World::start_with(capture, |_| ()).await;
    let Some(said) = python(&world, &["work"]).await else {
        return;
    };
    assert!(said.ends_with("worked\n"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_is_refused_and_a_user_may_run_but_not_load() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let world = World::start_with("", |config| {
        config.inference.api.as_mut().unwrap().users = vec!["daemon".to_owned()];
    })
    .await;
    if fs_err::metadata(world.folder()).unwrap().uid() != 0 {
        // Only root can be somebody else.
        return;
    }
    let open = std::fs::Permissions::from_mode(0o755);
    fs_err::set_permissions(world.folder(), open).unwrap();
    let daemon = 1.to_string();
    let nobody = 65534.to_string();
    let Some(said) = python(&world, &["as", &nobody, "refused"]).await else {
        return;
    };
    assert!(said.ends_with("refused\n"), "{said}");
    let said = python(&world, &["as", &daemon, "user"]).await.unwrap();
    assert!(said.ends_with("may run\n"), "{said}");
}

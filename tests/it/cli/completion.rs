//! Completions are scripts that their shells can read.

use crate::process::{run, selvedge};

#[tokio::test]
async fn the_completions_of_a_shell_are_a_script_that_it_can_read() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let ended = run(&mut selvedge(&["completion", shell])).await;
        assert_eq!(
            (ended.code, ended.stderr.as_str()),
            (Some(0), ""),
            "{shell}"
        );
        for word in ["dead-letters", "--supersede", "--host"] {
            // fish writes long options without their dashes.
            let word = if shell == "fish" {
                word.trim_start_matches('-')
            } else {
                word
            };
            assert!(ended.stdout.contains(word), "{shell}: {word}");
        }
        let script = folder.path().join(shell);
        fs_err::write(&script, &ended.stdout).unwrap();
        let checked = tokio::process::Command::new(shell)
            .arg("-n")
            .arg(&script)
            .output();
        match checked.await {
            Ok(checked) => assert!(checked.status.success(), "{shell}: {checked:?}"),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{shell}"),
        }
    }
    assert_eq!(
        run(&mut selvedge(&["completion", "cmd"])).await.code,
        Some(64)
    );
}

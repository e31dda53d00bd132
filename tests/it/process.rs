//! Programs that a test starts: read line by line, signalled by their own id,
//! and killed when the test is over, however it ends.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::time::timeout;

/// After this a test fails. Generous: the machine may be busy.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

/// The binary under test.
pub(crate) fn selvedge(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_selvedge"));
    command.args(arguments).env_remove("SELVEDGE_LOG");
    command
}

/// `path` as an argument.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("test folders have plain names")
}

/// A running program. Dropped, it is killed.
pub(crate) struct Process {
    child: Child,
    stdout: Option<Lines<BufReader<ChildStdout>>>,
    stderr: Option<Lines<BufReader<ChildStderr>>>,
    printed: Vec<Printed>,
}

/// A line and where it was printed.
struct Printed {
    is_error: bool,
    line: String,
}

/// How a program ended and all that it printed.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Absent if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self::spawn(command.stdin(Stdio::null()))
    }

    /// One whose standard input stays open until this is dropped.
    pub(crate) fn start_held(command: &mut Command) -> Self {
        Self::spawn(command.stdin(Stdio::piped()))
    }

    fn spawn(command: &mut Command) -> Self {
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let stdout = child.stdout.take().map(|out| BufReader::new(out).lines());
        let stderr = child.stderr.take().map(|out| BufReader::new(out).lines());
        Self {
            child,
            stdout,
            stderr,
            printed: Vec::new(),
        }
    }

    /// Waits for the next line that contains `part`, wherever it is printed.
    pub(crate) async fn line(&mut self, part: &str) -> String {
        let found = timeout(DEADLINE, async {
            while let Some(line) = self.read().await {
                if line.contains(part) {
                    return Some(line);
                }
            }
            None
        });
        match found.await {
            Ok(Some(line)) => line,
            Ok(None) => panic!("it ended without `{part}`:\n{}", self.all()),
            Err(_) => panic!("no `{part}` within {DEADLINE:?}:\n{}", self.all()),
        }
    }

    /// Sends it a signal, by its name without `SIG`.
    pub(crate) async fn signal(&self, name: &str) {
        let id = self.child.id().expect("it has not been waited for");
        let sent = Command::new("sh")
            .args(["-c", &format!("kill -s {name} {id}")])
            .status();
        assert!(sent.await.unwrap().success(), "cannot signal {id}");
    }

    /// Waits until it ends by itself.
    pub(crate) async fn end(&mut self) -> Ended {
        self.end_within(DEADLINE).await
    }

    /// As [`end`](Self::end), for what takes its time.
    pub(crate) async fn end_within(&mut self, deadline: Duration) -> Ended {
        let ended = timeout(deadline, async {
            while self.read().await.is_some() {}
            self.child.wait().await.unwrap()
        });
        let Ok(status) = ended.await else {
            panic!("still running after {deadline:?}:\n{}", self.all());
        };
        Ended {
            code: status.code(),
            stdout: self.text(false),
            stderr: self.text(true),
        }
    }

    /// The next line; none when no more can come.
    async fn read(&mut self) -> Option<String> {
        loop {
            let (is_error, line) = match (&mut self.stdout, &mut self.stderr) {
                (Some(stdout), Some(stderr)) => tokio::select! {
                    line = stdout.next_line() => (false, line),
                    line = stderr.next_line() => (true, line),
                },
                (Some(stdout), None) => (false, stdout.next_line().await),
                (None, Some(stderr)) => (true, stderr.next_line().await),
                (None, None) => return None,
            };
            match line.expect("programs under test print text") {
                Some(line) => {
                    let shown = line.clone();
                    self.printed.push(Printed { is_error, line });
                    return Some(shown);
                }
                None if is_error => self.stderr = None,
                None => self.stdout = None,
            }
        }
    }

    fn text(&self, is_error: bool) -> String {
        let lines = self.printed.iter();
        let lines = lines.filter(|printed| printed.is_error == is_error);
        lines.map(|printed| printed.line.clone() + "\n").collect()
    }

    fn all(&self) -> String {
        let lines = self.printed.iter();
        lines.map(|printed| printed.line.clone() + "\n").collect()
    }
}

/// Runs a program to its end.
pub(crate) async fn run(command: &mut Command) -> Ended {
    Process::start(command).end().await
}

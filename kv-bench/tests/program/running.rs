//! A program that runs beside a test and never outlives it.

use std::io::Read;
use std::process::{Child, Command, Output, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Several times what the longest test takes on a busy machine.
const TIME_MAX: Duration = Duration::from_mins(2);

/// Ends with the test, however that ends.
pub(crate) struct Running {
    child: Child,
    stdout: Option<JoinHandle<Vec<u8>>>,
    stderr: Option<JoinHandle<Vec<u8>>>,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
        let stdout = child.stdout.take().map(reader);
        let stderr = child.stderr.take().map(reader);
        Self { child, stdout, stderr }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end. One that does not come to it says what it had said, and fails the test.
    pub(crate) fn end(mut self) -> Output {
        let deadline = Instant::now() + TIME_MAX;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("it was ours") {
                break Some(status);
            }
            if Instant::now() >= deadline {
                self.kill();
                break None;
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let [stdout, stderr] = [&mut self.stdout, &mut self.stderr]
            .map(|reader| reader.take().expect("read once").join().expect("it reads"));
        let said = String::from_utf8_lossy(&stderr);
        let status = status.unwrap_or_else(|| panic!("it did not end in {TIME_MAX:?}: {said}"));
        Output { status, stdout, stderr }
    }

    fn kill(&mut self) {
        // It may have ended by now.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

fn reader(mut pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).expect("a pipe");
        bytes
    })
}

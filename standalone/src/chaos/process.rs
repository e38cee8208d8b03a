//! A child process to be killed, stopped, continued and started again.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::stack::{Error, Spec, tail};

/// One program, running or not. Dropping it kills it; if we are killed, it is killed as well.
#[derive(Debug)]
pub(super) struct Process {
    spec: Spec,
    child: Option<Child>,
}

impl Process {
    /// Not started yet.
    pub(super) fn new(spec: Spec) -> Self {
        Self { spec, child: None }
    }

    /// Its name, for messages.
    pub(super) fn name(&self) -> &'static str {
        self.spec.name
    }

    /// The end of what it has written to its log.
    pub(super) fn last_words(&self) -> String {
        tail(&self.spec.log)
    }

    /// Starts it. The thread that calls this must live as long as the child is to live.
    pub(super) fn start(&mut self) -> Result<(), Error> {
        let Spec { name, program, arguments, secret, log, .. } = &self.spec;
        let spawn = |cause| Error::Spawn { name, cause };
        let output = File::options().create(true).append(true).open(log).map_err(spawn)?;
        let errors = output.try_clone().map_err(spawn)?;
        let mut command = Command::new(std::env::current_exe().map_err(spawn)?);
        command.args(["tether", "--parent", &std::process::id().to_string(), "--"]).arg(program).args(arguments);
        command.envs(secret.as_ref().map(|(name, secret)| (name, secret.expose())));
        // A process group of its own: Ctrl-C reaches us alone. The pipe stays open in the child's hands.
        command.process_group(0).stdin(Stdio::piped()).stdout(output).stderr(errors);
        self.child = Some(command.spawn().map_err(spawn)?);
        Ok(())
    }

    /// SIGKILL, and its end awaited.
    pub(super) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// SIGSTOP.
    pub(super) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub(super) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let id = self.child.as_ref().and_then(|child| Pid::from_raw(i32::try_from(child.id()).ok()?));
        if let Some(id) = id {
            let _ = kill_process(id, signal);
        }
    }

    /// Whether it runs.
    pub(super) fn is_running(&mut self) -> bool {
        self.ended().is_none() && self.child.is_some()
    }

    /// How it ended, if it has done so by itself.
    pub(super) fn ended(&mut self) -> Option<String> {
        let status = self.child.as_mut()?.try_wait().ok()??;
        self.child = None;
        Some(status.to_string())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_are_the_end_of_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let (name, program) = ("nobody", folder.path().join("none"));
        let process = Process::new(Spec { name, program, arguments: Vec::new(), secret: None, log, remove: None });
        assert!(process.last_words().contains("cannot be read"));
        std::fs::write(&process.spec.log, "x".repeat(50_000) + "why it ends").unwrap();
        assert!(process.last_words().ends_with("why it ends") && process.last_words().len() == 2_000);
    }
}

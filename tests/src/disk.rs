//! A small disk of memory in a mount namespace of its own: it goes with the process that holds it.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Mounts, tells that it has, and waits for the end of its input.
const HOLD: &str = r#"mount -t tmpfs -o "size=$1m" small "$2" && echo mounted && read -r _"#;

/// A disk mounted over a folder, for programs that are started on it. Dropping it unmounts it when the last of them has ended.
pub struct Disk {
    holder: Child,
    folder: PathBuf,
}

impl Disk {
    /// Whether disks can be mounted here; the error says why not.
    pub(crate) fn is_possible() -> Result<(), String> {
        let script = "mount -t tmpfs small /tmp && nsenter --target $$ --mount true";
        let output = Command::new("unshare").args(["--mount", "sh", "-c", script]).output();
        match output {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err(error) => Err(format!("unshare: {error}")),
        }
    }

    /// Mounts an empty one.
    pub(crate) fn mount(folder: &Path, mebibytes: u32) -> Self {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", HOLD, "sh", &mebibytes.to_string()]).arg(folder);
        let mut holder = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("unshare");
        let mut word = String::new();
        let output = holder.stdout.take().expect("its output");
        BufReader::new(output).read_line(&mut word).expect("a word");
        assert_eq!(word, "mounted\n");
        Self { holder, folder: folder.to_owned() }
    }

    /// A command that starts a program on it.
    pub(crate) fn program(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.holder.id().to_string(), "--mount", "--"]).arg(program);
        command
    }

    /// A file of it, seen from outside.
    fn outside(&self, name: &str) -> PathBuf {
        let inside = self.folder.join(name);
        Path::new("/proc")
            .join(self.holder.id().to_string())
            .join("root")
            .join(inside.strip_prefix("/").unwrap_or(&inside))
    }

    /// Takes all room, to the last byte.
    pub fn fill(&self) {
        let mut ballast = File::options().create(true).append(true).open(self.outside("ballast")).expect("the ballast");
        weir::chaos::take_room(&mut ballast);
    }

    /// Gives it back.
    pub fn empty(&self) {
        std::fs::remove_file(self.outside("ballast")).expect("the ballast");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

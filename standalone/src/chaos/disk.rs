//! A small disk of memory under a part's data, which can be full.
//!
//! Mounting needs a mount namespace of our own: nobody else sees what is mounted in it, and it goes with the last of our
//! processes, however they end. Root has it for the asking, others where the system lets them map themselves to root.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Tells the process that it is in a namespace of its own.
const INSIDE: &str = "WEIR_CHAOS_MOUNTS";
const BLOCK_BYTES: usize = 1 << 20;
/// How often what others have freed is taken as well.
const PRESS_EVERY: Duration = Duration::from_millis(50);

/// Starts this command anew in a mount namespace of its own, under the same process id; returns where that cannot be had,
/// or has been done.
pub fn enter_own_mounts() {
    if std::env::var_os(INSIDE).is_some() {
        return;
    }
    for options in [&["--mount"][..], &["--mount", "--map-root-user"]] {
        let probe =
            Command::new("unshare").args(options).arg("true").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !probe.is_ok_and(|status| status.success()) {
            continue;
        }
        let Ok(program) = std::env::current_exe() else { return };
        let arguments = std::env::args_os().skip(1);
        let _failed =
            Command::new("unshare").args(options).arg("--").arg(program).args(arguments).env(INSIDE, "1").exec();
    }
}

/// Writes to a file until its disk has no byte left: whole blocks first, and then what is left of it.
pub fn take_room(ballast: &mut File) {
    let block = vec![0; BLOCK_BYTES];
    let mut size = BLOCK_BYTES;
    while size > 0 {
        match ballast.write(block.get(..size).unwrap_or_default()) {
            Ok(written) if written == size => {}
            _ => size /= 2,
        }
    }
}

/// A disk of its own under a folder.
#[derive(Debug)]
pub(super) struct Disk {
    folder: PathBuf,
}

impl Disk {
    /// Mounts one of that size over an empty folder; the error says why that cannot be.
    pub(super) fn mount(folder: &Path, mebibytes: u32) -> Result<Self, String> {
        if std::env::var_os(INSIDE).is_none() {
            return Err("a mount namespace cannot be had here (unshare --mount)".to_owned());
        }
        let size = format!("size={mebibytes}m,mode=0755");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "weir-chaos"]).arg(folder).output();
        match mounted {
            Ok(output) if output.status.success() => Ok(Self { folder: folder.to_owned() }),
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err(error) => Err(format!("mount: {error}")),
        }
    }

    /// Leaves no byte free for so long: what others remove meanwhile is taken too.
    pub(super) async fn fill(&self, time: Duration) -> io::Result<()> {
        let path = self.folder.join("ballast");
        let mut ballast = File::create(&path)?;
        let until = Instant::now() + time;
        while Instant::now() < until {
            take_room(&mut ballast);
            sleep(PRESS_EVERY).await;
        }
        drop(ballast);
        std::fs::remove_file(&path)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: it goes when the last file on it is closed.
        let _ = Command::new("umount").arg("--lazy").arg(&self.folder).stderr(Stdio::null()).status();
    }
}
